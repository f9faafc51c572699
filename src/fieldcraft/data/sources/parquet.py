"""Parquet files."""

from __future__ import annotations

import io
from collections.abc import Sequence

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.frames import plain_columns, renamed
from fieldcraft.data.place import Place
from fieldcraft.data.reading import Reading


class Parquet:
    """Files of typed columns."""

    name = "parquet"
    forms = (".parquet",)

    def claims(self, place: Place) -> bool:
        """Whether this is a file with that ending."""
        return place.ends(*self.forms)

    def read(self, place: Place, names: Sequence[str]) -> Reading:
        """Read the columns with their types; names, if given, replace those in the file.

        Raises:
            DataError: the file is not there or damaged, or columns hold lists or records.
        """
        try:
            frame = pl.read_parquet(io.BytesIO(place.data()))
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(
                f"{place.name} cannot be read as Parquet",
                seen=str(error).splitlines()[0],
                way_out="use a Parquet file that is whole, or export the table again",
            ) from error
        return Reading(plain_columns(renamed(frame, names)))

    def digest(self, place: Place) -> str:
        """Digest of the file."""
        return place.digest()


SOURCE = Parquet()
