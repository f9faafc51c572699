"""Delimited text: CSV, TSV and the like, also gzipped."""

from __future__ import annotations

from collections.abc import Sequence

from fieldcraft.data.csv_reader import read_delimited_text
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult


class DelimitedSource:
    """Files of lines of cells; the delimiter, header and encoding are found from the content."""

    name = "delimited"
    address_forms = (".csv", ".tsv", ".txt", ".data")

    def can_read(self, location: SourceLocation) -> bool:
        """Whether this is a file with such an ending, also with ``.gz``."""
        return location.has_suffix(*self.address_forms)

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read the cells as text.

        Raises:
            DataError: the file is not there, not text, or too many of its rows do not fit.
        """
        return read_delimited_text(location.read_bytes(), location.name, names)

    def digest(self, location: SourceLocation) -> str:
        """Digest of the file."""
        return location.digest()


SOURCE = DelimitedSource()
