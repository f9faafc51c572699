"""Read a table in blocks and at once, to compare the results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.blocks.base import ReadOptions
from fieldcraft.data.blocks.read import open_blocks
from fieldcraft.data.read import read_table

TOO_MANY_MALFORMED_MESSAGES = ("rows of", "lines of", "holds no rows", "the first row of")


def read_in_blocks(path: Path, block_bytes: int, names: Sequence[str] = ()) -> object:
    """Return columns, rows and rejected lines, or the text of an error."""
    try:
        blocks = open_blocks(
            path, ReadOptions(block_bytes, column_names=tuple(names)), path.parent / "scratch"
        )
        all_blocks = [blocks.read_block(number) for number in range(len(blocks.sizes))]
    except DataError as error:
        return str(error)
    frames = [block.frame for block in all_blocks if block.frame.width]
    frame = pl.concat(frames) if frames else pl.DataFrame()
    lines = tuple(reject.last_line for block in all_blocks for reject in block.rejects)
    return frame.schema, frame.rows(), lines


def read_at_once(path: Path, names: Sequence[str] = ()) -> object:
    """Return the same when read at once; None if too many rows are malformed."""
    try:
        result = read_table(path, names)
    except DataError as error:
        return (
            None
            if any(message in error.what for message in TOO_MANY_MALFORMED_MESSAGES)
            else str(error)
        )
    return result.frame.schema, result.frame.rows(), result.malformed_lines
