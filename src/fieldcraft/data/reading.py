"""What every source of tables keeps to: what is read, and by which source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from fieldcraft.core import catalogue
from fieldcraft.core.errors import DataError, near
from fieldcraft.data import magic
from fieldcraft.data.place import Place, present
from fieldcraft.data.sniff import Dialect


@dataclass(frozen=True)
class Reading:
    """A table as read: cells untouched, how the file was written, and lines set aside.

    Args:
        frame: the table.
        dialect: how a text file is written; of several files, the first.
        odd_lines: the line on which each row ends that was set aside.
        odd_files: the file of each such line, for a table of several files.
        notes: what else a person should know of how it was read.
        split: the column that says which part a row is for, where the source itself says so.
    """

    frame: pl.DataFrame
    dialect: Dialect | None = None
    odd_lines: tuple[int, ...] = field(default=())
    odd_files: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    split: str | None = None

    def odd(self, most: int = 5) -> str:
        """The first lines that were set aside, as text for messages."""
        files = self.odd_files or ("",) * len(self.odd_lines)
        shown = [
            f"{name} line {line}" if name else str(line)
            for line, name in zip(self.odd_lines[:most], files[:most], strict=True)
        ]
        return ", ".join(shown) + (", ..." if len(self.odd_lines) > most else "")


class Source(Protocol):
    """Reads tables from one sort of place, such as Parquet files or SQLite databases."""

    name: str
    forms: tuple[str, ...]  # what its addresses look like, for messages

    def claims(self, place: Place) -> bool:
        """Whether a place is for this source, judged by its address; no two claim the same."""

    def read(self, place: Place, names: Sequence[str]) -> Reading:
        """Read the table; names, if given, are those of its columns."""

    def digest(self, place: Place) -> str:
        """Digest of the content; it stays while the content stays, wherever that lies."""


def source_of(place: Place) -> Source:
    """The source that a place is for.

    Raises:
        DataError: there is none, or no such file.
    """
    found = claimant(place)
    if found is not None:
        return found
    forms = [form for source in catalogue.load_all("data.sources") for form in source.forms]
    if place.scheme:
        known = [form for form in forms if "://" in form]
        raise DataError(
            f"cannot read tables from {place.scheme}:// addresses",
            seen=place.address,
            way_out=f"{near(f'{place.scheme}:///', known)} Or download the table and name its path",
        )
    if place.content is None:
        present(place.path)
    known_as = magic.what_is(place.packed()[: magic.HEAD])
    raise DataError(
        f"cannot tell what kind of table {place.name} is",
        seen=f"ending {place.ending!r}" + (f"; it is {known_as.what}" if known_as else ""),
        way_out=known_as.way_out if known_as else f"use one of: {', '.join(forms)}",
    )


def claimant(place: Place) -> Source | None:
    """The source that claims a place, if one does."""
    sources: list[Source] = catalogue.load_all("data.sources")
    return next((source for source in sources if source.claims(place)), None)


def read_place(place: Place, names: Sequence[str] = ()) -> Reading:
    """Read the table at a place by the source that it is for.

    Raises:
        DataError: there is no such source or table, or it is damaged.
    """
    return source_of(place).read(place, names)
