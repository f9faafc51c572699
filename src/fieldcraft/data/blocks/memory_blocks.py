"""Tables that are read at once: what can not be read in blocks, cut into blocks all the same."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import polars as pl

from fieldcraft.data.blocks.base import Block, ReadOptions, RejectedLines
from fieldcraft.data.source import ReadResult


@dataclass(frozen=True)
class InMemoryBlocks:
    """A table in memory in blocks.

    Attributes:
        frame: the columns that are wanted.
        columns: the names of all columns.
        rejects: lines that were set aside; they come with the first block.
        row_offsets: the first row of each block, and the number of rows at the end.
    """

    frame: pl.DataFrame
    columns: tuple[str, ...]
    rejects: tuple[RejectedLines, ...]
    row_offsets: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each block."""
        return tuple(end - start for start, end in pairwise(self.row_offsets))

    def read_block(self, number: int) -> Block:
        """The rows of a block."""
        start, end = self.row_offsets[number], self.row_offsets[number + 1]
        return Block(self.frame[start:end], () if number else self.rejects)


def split_into_blocks(result: ReadResult, options: ReadOptions) -> InMemoryBlocks:
    """A table that was read, in blocks."""
    frame = result.frame.select(options.select(result.frame.columns))
    files = result.malformed_files or ("",) * len(result.malformed_lines)
    rejects = tuple(
        RejectedLines(line, 1, "too few or too many cells", "", file)
        for line, file in zip(result.malformed_lines, files, strict=True)
    )
    height = result.frame.height
    step = max(1, int(options.block_bytes * height / max(frame.estimated_size(), 1)))
    row_offsets = (*range(0, height, step), height) if height else (0, 0)
    return InMemoryBlocks(frame, tuple(result.frame.columns), rejects, row_offsets)
