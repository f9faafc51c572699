"""The contract of table sources, and the choice of the source that reads a location."""

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
    """A table as read, with the dialect of the file and the lines that were rejected.

    Args:
        frame: the table, cells unchanged.
        dialect: the dialect of a text file; of several files, that of the first.
        malformed_lines: the last line of each rejected row, counted from 1.
        malformed_files: the file of each of these rows, if the table has several files.
        notes: what users should know about how the table was read.
        split_column: the column with the part of each row, if the source itself defines a split.
    """

    frame: pl.DataFrame
    dialect: CsvDialect | None = None
    malformed_lines: tuple[int, ...] = field(default=())
    malformed_files: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())
    split_column: str | None = None

    def describe_malformed(self, max_lines: int = 5) -> str:
        """Return the first rejected lines as text for messages."""
        files = self.malformed_files or ("",) * len(self.malformed_lines)
        shown = [
            f"{name} line {line}" if name else str(line)
            for line, name in zip(self.malformed_lines[:max_lines], files[:max_lines], strict=True)
        ]
        return ", ".join(shown) + (", ..." if len(self.malformed_lines) > max_lines else "")


class TableSource(Protocol):
    """Reads tables from one type of location, such as Parquet files or SQLite databases."""

    name: str
    address_forms: tuple[str, ...]  # examples of its addresses, for messages

    def can_read(self, location: SourceLocation) -> bool:
        """Return whether this source reads the location; at most one source does."""

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read the table; names, if given, become its column names."""

    def digest(self, location: SourceLocation) -> str:
        """Return the digest of the content, which does not depend on where the content is."""


def find_source(location: SourceLocation) -> TableSource:
    """Return the source that reads a location.

    Raises:
        DataError: no source does, or there is no such file.
    """
    claiming_source = matching_source(location)
    if claiming_source is not None:
        return claiming_source
    forms = [
        form for source in catalog.load_plugins("data.sources") for form in source.address_forms
    ]
    if location.scheme:
        url_forms = [form for form in forms if "://" in form]
        raise DataError(
            f"cannot read tables from {location.scheme}:// addresses",
            detail=location.address,
            hint=f"{did_you_mean(f'{location.scheme}:///', url_forms)} "
            "Or download the table and give its path",
        )
    if location.content is None:
        require_path(location.path)
    # The extension is unknown, so the first bytes may show the user what the file is.
    file_format = file_signature.detect_format(location.raw_bytes()[: file_signature.HEAD_BYTES])
    raise DataError(
        f"cannot determine the format of {location.name}",
        detail=f"file extension {location.suffix!r}"
        + (f"; it is {file_format.description}" if file_format else ""),
        hint=file_format.hint if file_format else f"use one of: {', '.join(forms)}",
    )


def matching_source(location: SourceLocation) -> TableSource | None:
    """Return the source that reads a location, or None."""
    sources: list[TableSource] = catalog.load_plugins("data.sources")
    return next((source for source in sources if source.can_read(location)), None)


def read_location(location: SourceLocation, names: Sequence[str] = ()) -> ReadResult:
    """Read the table at a location with the source for it.

    Raises:
        DataError: there is no such source or table, or the table is damaged.
    """
    return find_source(location).read(location, names)
