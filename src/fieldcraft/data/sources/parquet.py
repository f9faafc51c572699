"""Parquet files, also with photos in their cells."""

from __future__ import annotations

import io
from collections.abc import Sequence

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.dataframes import extract_embedded_files, normalize_dtypes, rename_columns
from fieldcraft.data.embedded_files import can_hold_files
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult

IMAGE_ROWS_AT_ONCE = 256  # rows with photos that are in memory together


class ParquetSource:
    """Parquet files, whose columns have types."""

    name = "parquet"
    address_forms = (".parquet",)

    def can_read(self, location: SourceLocation) -> bool:
        """Return whether this is a file with that extension."""
        return location.has_suffix(*self.address_forms)

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read the columns with their types; names, if given, replace those in the file.

        Raises:
            DataError: the file is missing or damaged, or columns hold lists or records.
        """
        try:
            frame = read_parquet(location)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise damaged_file_error(location.name, error) from error
        return ReadResult(normalize_dtypes(rename_columns(frame, names)))

    def digest(self, location: SourceLocation) -> str:
        """Return the digest of the file."""
        return location.digest()


def read_parquet(location: SourceLocation) -> pl.DataFrame:
    """Read all rows; photos in batches, since all of them may not fit in memory."""
    data = location.read_bytes()
    schema = pl.read_parquet_schema(io.BytesIO(data))
    binary_columns = [name for name, dtype in schema.items() if can_hold_files(dtype)]
    if not binary_columns:
        return pl.read_parquet(io.BytesIO(data))
    rows = pl.scan_parquet(io.BytesIO(data))
    height = int(rows.select(pl.len()).collect().item())
    parts = [
        extract_embedded_files(rows.slice(start, IMAGE_ROWS_AT_ONCE).collect())
        for start in range(0, height, IMAGE_ROWS_AT_ONCE)
    ]
    # A column is one of photos if any batch has a photo; then all batches are converted.
    image_columns = {
        name for part in parts for name in binary_columns if part.schema[name] == pl.String
    }
    return (
        pl.concat([extract_embedded_files(part, image_columns) for part in parts])
        if parts
        else rows.collect()
    )


def damaged_file_error(name: str, error: Exception) -> DataError:
    """Return the error for a file that is not a complete Parquet file."""
    return DataError(
        f"{name} cannot be read as Parquet",
        detail=str(error).splitlines()[0],
        hint="use a complete Parquet file, or export the table again",
    )


SOURCE = ParquetSource()
