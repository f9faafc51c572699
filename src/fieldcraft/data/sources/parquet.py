"""Parquet files."""

from __future__ import annotations

import io
from collections.abc import Sequence

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.blobs import holds_files
from fieldcraft.data.frames import plain_columns, renamed, with_files
from fieldcraft.data.place import Place
from fieldcraft.data.reading import Reading

SLICE = 256  # rows with photos that are held at once


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
            frame = whole(place)
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


def whole(place: Place) -> pl.DataFrame:
    """All rows; where cells hold photos as bytes, some rows at a time, for they need not fit."""
    data = place.data()
    blobs = [name for name, kind in pl.read_parquet_schema(io.BytesIO(data)).items()
             if holds_files(kind)]  # fmt: skip
    if not blobs:
        return pl.read_parquet(io.BytesIO(data))
    rows = pl.scan_parquet(io.BytesIO(data))
    height = int(rows.select(pl.len()).collect().item())
    parts = [with_files(rows.slice(start, SLICE).collect()) for start in range(0, height, SLICE)]
    sure = {name for part in parts for name in blobs if part.schema[name] == pl.String}
    return pl.concat([with_files(part, sure) for part in parts]) if parts else rows.collect()


SOURCE = Parquet()
