"""What reading in blocks keeps to: a table as independent pieces, and what was set aside."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

import polars as pl


@dataclass(frozen=True)
class Reject:
    """Lines that are no row of the table.

    Attributes:
        line: the last of them, counted from 1; 0 where that is not known.
        lines: how many there are.
        reason: what is wrong with them.
        text: what stands there.
        file: the file, of a table of several.
    """

    line: int
    lines: int
    reason: str
    text: str
    file: str = ""

    def __str__(self) -> str:
        """Where it is and why, as messages say it."""
        first = self.line - self.lines + 1
        where = f"line {self.line}" if self.lines == 1 else f"lines {first} to {self.line}"
        return f"{self.file} {where}".strip() + f" ({self.reason})"


@dataclass(frozen=True)
class Piece:
    """The rows of one block, cells as read, and the lines of it that were set aside."""

    frame: pl.DataFrame
    rejects: tuple[Reject, ...] = ()


@dataclass(frozen=True)
class Wish:
    """How a table is to be read.

    Attributes:
        size: of a block: bytes of text, or of rows in memory.
        wanted: the columns that are; others may be left out. None: all.
        names: column names, for a table without a header.
    """

    size: int
    wanted: frozenset[str] | None = None
    names: tuple[str, ...] = ()

    def kept(self, columns: Collection[str]) -> list[str]:
        """Those of some columns that are wanted."""
        return [name for name in columns if self.wanted is None or name in self.wanted]


class Blocks(Protocol):
    """A table as blocks of rows, each of which can be read without the others."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""

    @property
    def weights(self) -> tuple[int, ...]:
        """How large each block is, in bytes or rows; they say what share of the table is done."""

    def read(self, number: int) -> Piece:
        """The rows of a block, in their order; may be called from several threads."""
