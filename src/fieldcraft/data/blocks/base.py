"""What reading in blocks keeps to: a table as independent pieces, and what was set aside."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import polars as pl


@dataclass(frozen=True)
class RejectedLines:
    """Lines that are no row of the table.

    Attributes:
        last_line: the last of them, counted from 1; 0 where that is not known.
        n_lines: how many there are.
        reason: what is wrong with them.
        text: what stands there.
        file: the file, of a table of several.
    """

    last_line: int
    n_lines: int
    reason: str
    text: str
    file: str = ""

    def __str__(self) -> str:
        """Where it is and why, as messages say it."""
        first_line = self.last_line - self.n_lines + 1
        position = (
            f"line {self.last_line}"
            if self.n_lines == 1
            else f"lines {first_line} to {self.last_line}"
        )
        return f"{self.file} {position}".strip() + f" ({self.reason})"


@dataclass(frozen=True)
class Block:
    """The rows of one block, cells as read, and the lines of it that were set aside."""

    frame: pl.DataFrame
    rejects: tuple[RejectedLines, ...] = ()


@dataclass(frozen=True)
class ReadOptions:
    """How a table is to be read.

    Attributes:
        block_bytes: of a block: bytes of text, or of rows in memory.
        columns: the columns that are; others may be left out. None: all.
        column_names: column names, for a table without a header.
    """

    block_bytes: int
    columns: frozenset[str] | None = None
    column_names: tuple[str, ...] = ()

    def select(self, columns: Collection[str]) -> list[str]:
        """Those of some columns that are wanted."""
        return [name for name in columns if self.columns is None or name in self.columns]


class TableBlocks(Protocol):
    """A table as blocks of rows, each of which can be read without the others."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """How large each block is, in bytes or rows; they say what share of the table is done."""

    def read_block(self, number: int) -> Block:
        """The rows of a block, in their order; may be called from several threads."""
