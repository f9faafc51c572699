"""The contract of reading in blocks, and blocks of tables that must be read at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import polars as pl

from fieldcraft.data.source import ReadResult


@dataclass(frozen=True)
class RejectedLines:
    """Lines that were rejected.

    Attributes:
        last_line: number of the last line, counted from 1; 0 if unknown.
        n_lines: number of lines.
        reason: why they were rejected.
        text: the text of the lines.
        file: the file, if the table has several.
    """

    last_line: int
    n_lines: int
    reason: str
    text: str
    file: str = ""

    def __str__(self) -> str:
        """Return position and reason for messages."""
        first_line = self.last_line - self.n_lines + 1
        position = (
            f"line {self.last_line}"
            if self.n_lines == 1
            else f"lines {first_line} to {self.last_line}"
        )
        return f"{self.file} {position}".strip() + f" ({self.reason})"


@dataclass(frozen=True)
class Block:
    """The rows of one block, cells as read, and the rejected lines."""

    frame: pl.DataFrame
    rejects: tuple[RejectedLines, ...] = ()


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a table in blocks.

    Attributes:
        block_bytes: size of a block, of text or of rows in memory.
        columns: the columns to read; None reads all.
        column_names: column names, for a table without a header.
    """

    block_bytes: int
    columns: frozenset[str] | None = None
    column_names: tuple[str, ...] = ()

    def select(self, columns: Collection[str]) -> list[str]:
        """Return those of the given columns that are to be read."""
        return [name for name in columns if self.columns is None or name in self.columns]


class TableBlocks(Protocol):
    """A table as blocks of rows, each of which can be read independently."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Size of each block in bytes or rows, for progress."""

    def read_block(self, number: int) -> Block:
        """Return the rows of a block in order; may be called from several threads."""


@dataclass(frozen=True)
class InMemoryBlocks:
    """A table in memory, split into blocks.

    Attributes:
        frame: the selected columns.
        columns: names of all columns.
        rejects: rejected lines, which come with the first block.
        row_offsets: first row of each block, and the number of rows at the end.
    """

    frame: pl.DataFrame
    columns: tuple[str, ...]
    rejects: tuple[RejectedLines, ...]
    row_offsets: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of rows of each block."""
        return tuple(end - start for start, end in pairwise(self.row_offsets))

    def read_block(self, number: int) -> Block:
        """Return the rows of a block."""
        # The block of a rejected line is unknown; in the first block, each is reported once.
        start, end = self.row_offsets[number], self.row_offsets[number + 1]
        return Block(self.frame[start:end], () if number else self.rejects)


def split_into_blocks(result: ReadResult, options: ReadOptions) -> InMemoryBlocks:
    """Split a table that had to be read at once into blocks."""
    frame = result.frame.select(options.select(result.frame.columns))
    files = result.malformed_files or ("",) * len(result.malformed_lines)
    rejects = tuple(
        RejectedLines(line, 1, "too few or too many cells", "", file)
        for line, file in zip(result.malformed_lines, files, strict=True)
    )
    height = result.frame.height
    # The size of the selected columns only, since the model processes only these.
    step = max(1, int(options.block_bytes * height / max(frame.estimated_size(), 1)))
    row_offsets = (*range(0, height, step), height) if height else (0, 0)
    return InMemoryBlocks(frame, tuple(result.frame.columns), rejects, row_offsets)
