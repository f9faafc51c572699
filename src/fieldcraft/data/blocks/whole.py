"""Tables that are read at once: what can not be read in blocks, cut into blocks all the same."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from fieldcraft.data.blocks.shape import Piece, Reject, Wish
from fieldcraft.data.reading import Reading


@dataclass(frozen=True)
class Whole:
    """A table in memory in blocks.

    Attributes:
        frame: the columns that are wanted.
        columns: the names of all columns.
        rejects: lines that were set aside; they come with the first block.
        starts: the first row of each block, and the number of rows at the end.
    """

    frame: pl.DataFrame
    columns: tuple[str, ...]
    rejects: tuple[Reject, ...]
    starts: tuple[int, ...]

    @property
    def weights(self) -> tuple[int, ...]:
        """Rows of each block."""
        return tuple(end - start for start, end in pairwise(self.starts))

    def read(self, number: int) -> Piece:
        """The rows of a block."""
        start, end = self.starts[number], self.starts[number + 1]
        return Piece(self.frame[start:end], () if number else self.rejects)


def in_memory(reading: Reading, wish: Wish) -> Whole:
    """A table that was read, in blocks."""
    frame = reading.frame.select(wish.kept(reading.frame.columns))
    files = reading.odd_files or ("",) * len(reading.odd_lines)
    rejects = tuple(
        Reject(line, 1, "too few or too many cells", "", file)
        for line, file in zip(reading.odd_lines, files, strict=True)
    )
    height = reading.frame.height
    step = max(1, int(wish.size * height / max(frame.estimated_size(), 1)))
    starts = (*range(0, height, step), height) if height else (0, 0)
    return Whole(frame, tuple(reading.frame.columns), rejects, starts)
