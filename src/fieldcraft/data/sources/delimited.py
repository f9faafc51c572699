"""Delimited text: CSV, TSV and the like, also gzipped."""

from __future__ import annotations

from collections.abc import Sequence

from fieldcraft.data.place import Place
from fieldcraft.data.reading import Reading
from fieldcraft.data.text import read_text


class Delimited:
    """Files of lines of cells; the delimiter, header and encoding are found from the content."""

    name = "delimited"
    forms = (".csv", ".tsv", ".txt", ".data")

    def claims(self, place: Place) -> bool:
        """Whether this is a file with such an ending, also with ``.gz``."""
        return place.ends(*self.forms)

    def read(self, place: Place, names: Sequence[str]) -> Reading:
        """Read the cells as text.

        Raises:
            DataError: the file is not there, not text, or too many of its rows do not fit.
        """
        return read_text(place.data(), place.name, names)

    def digest(self, place: Place) -> str:
        """Digest of the file."""
        return place.digest()


SOURCE = Delimited()
