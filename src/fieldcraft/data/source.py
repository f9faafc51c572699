"""What every source of tables keeps to: what is read, and by which source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from fieldcraft.core import catalog
from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.data import file_signature
from fieldcraft.data.csv_sniffer import CsvDialect
from fieldcraft.data.location import SourceLocation, require_path


@dataclass(frozen=True)
class ReadResult:
    """A table as read: cells untouched, how the file was written, and lines set aside.

    Args:
        frame: the table.
        dialect: how a text file is written; of several files, the first.
        malformed_lines: the line on which each row ends that was set aside.
        malformed_files: the file of each such line, for a table of several files.
        notes: what else a person should know of how it was read.
        split_column: the column that says which part a row is for, where the source itself says so.
    """

    frame: pl.DataFrame
    dialect: CsvDialect | None = None
    malformed_lines: tuple[int, ...] = field(default=())
    malformed_files: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    split_column: str | None = None

    def describe_malformed(self, max_lines: int = 5) -> str:
        """The first lines that were set aside, as text for messages."""
        files = self.malformed_files or ("",) * len(self.malformed_lines)
        shown = [
            f"{name} line {line}" if name else str(line)
            for line, name in zip(self.malformed_lines[:max_lines], files[:max_lines], strict=True)
        ]
        return ", ".join(shown) + (", ..." if len(self.malformed_lines) > max_lines else "")


class TableSource(Protocol):
    """Reads tables from one sort of place, such as Parquet files or SQLite databases."""

    name: str
    address_forms: tuple[str, ...]  # what its addresses look like, for messages

    def can_read(self, location: SourceLocation) -> bool:
        """Whether a place is for this source, judged by its address; no two claim the same."""

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read the table; names, if given, are those of its columns."""

    def digest(self, location: SourceLocation) -> str:
        """Digest of the content; it stays while the content stays, wherever that lies."""


def find_source(location: SourceLocation) -> TableSource:
    """The source that a place is for.

    Raises:
        DataError: there is none, or no such file.
    """
    claiming_source = matching_source(location)
    if claiming_source is not None:
        return claiming_source
    forms = [form for source in catalog.load_plugins("data.sources") for form in source.forms]
    if location.scheme:
        url_forms = [form for form in forms if "://" in form]
        raise DataError(
            f"cannot read tables from {location.scheme}:// addresses",
            detail=location.address,
            hint=f"{did_you_mean(f'{location.scheme}:///', url_forms)} Or download the table and name its path",
        )
    if location.content is None:
        require_path(location.path)
    file_format = file_signature.detect_format(location.raw_bytes()[: file_signature.HEAD_BYTES])
    raise DataError(
        f"cannot tell what kind of table {location.name} is",
        detail=f"ending {location.suffix!r}"
        + (f"; it is {file_format.description}" if file_format else ""),
        hint=file_format.hint if file_format else f"use one of: {', '.join(forms)}",
    )


def matching_source(location: SourceLocation) -> TableSource | None:
    """The source that claims a place, if one does."""
    sources: list[TableSource] = catalog.load_plugins("data.sources")
    return next((source for source in sources if source.can_read(location)), None)


def read_location(location: SourceLocation, names: Sequence[str] = ()) -> ReadResult:
    """Read the table at a place by the source that it is for.

    Raises:
        DataError: there is no such source or table, or it is damaged.
    """
    return find_source(location).read(location, names)
