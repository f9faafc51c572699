"""A table read in blocks, to compare with the same read at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.blocks.read import read_blocks
from fieldcraft.data.blocks.shape import Wish
from fieldcraft.data.read import read_table

TOO_MANY = ("rows of", "lines of", "holds no rows", "the first row of")


def in_blocks(path: Path, size: int, names: Sequence[str] = ()) -> object:
    """Columns, rows and lines set aside; or the text of an error."""
    try:
        blocks = read_blocks(path, Wish(size, names=tuple(names)), path.parent / "scratch")
        pieces = [blocks.read(number) for number in range(len(blocks.weights))]
    except DataError as error:
        return str(error)
    frames = [piece.frame for piece in pieces if piece.frame.width]
    frame = pl.concat(frames) if frames else pl.DataFrame()
    lines = tuple(reject.line for piece in pieces for reject in piece.rejects)
    return frame.schema, frame.rows(), lines


def at_once(path: Path, names: Sequence[str] = ()) -> object:
    """The same of the careful reading; None where it refuses, for too much is odd."""
    try:
        reading = read_table(path, names)
    except DataError as error:
        return None if any(what in error.what for what in TOO_MANY) else str(error)
    return reading.frame.schema, reading.frame.rows(), reading.odd_lines
