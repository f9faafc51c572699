"""Delimited text: CSV, TSV and similar files, also gzipped."""

from __future__ import annotations

from collections.abc import Sequence

from fieldcraft.data.csv_reader import read_delimited_text
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult


class DelimitedSource:
    """Text files of delimited cells; delimiter, header and encoding are detected."""

    name = "delimited"
    address_forms = (".csv", ".tsv", ".txt", ".data")

    def can_read(self, location: SourceLocation) -> bool:
        """Return whether this is a file with such an extension, with or without ``.gz``."""
        return location.has_suffix(*self.address_forms)

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read the cells as text.

        Raises:
            DataError: the file is missing, not text, or too many of its rows are malformed.
        """
        return read_delimited_text(location.read_bytes(), location.name, names)

    def digest(self, location: SourceLocation) -> str:
        """Return the digest of the file."""
        return location.digest()


SOURCE = DelimitedSource()
