"""Parquet files in blocks of rows; only the selected columns are read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl

from fieldcraft.data.blocks.base import Block, ReadOptions
from fieldcraft.data.csv_parser import validate_names
from fieldcraft.data.dataframes import extract_embedded_files, normalize_dtypes
from fieldcraft.data.embedded_files import can_hold_files
from fieldcraft.data.sources.parquet import IMAGE_ROWS_AT_ONCE, damaged_file_error

SAMPLE_ROWS = 1_000  # to estimate the bytes per row
MIN_BLOCK_ROWS = 1_000  # each block reads the metadata of the file again


@dataclass(frozen=True)
class ParquetBlocks:
    """A Parquet file in blocks.

    Attributes:
        path: path of the file, not gzipped.
        name: name of the file in messages.
        options: columns and size of blocks.
        columns: names of all columns.
        selected_columns: names of the columns to read, as they are in the file.
        image_columns: columns with photos.
        row_offsets: first row of each block, and the number of rows at the end.
    """

    path: Path
    name: str
    options: ReadOptions
    columns: tuple[str, ...]
    selected_columns: tuple[str, ...]
    image_columns: frozenset[str]
    row_offsets: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of rows of each block."""
        return tuple(end - start for start, end in pairwise(self.row_offsets))

    def read_block(self, number: int) -> Block:
        """Return the rows of a block.

        Raises:
            DataError: the file is damaged, or columns hold lists or records.
        """
        start, end = self.row_offsets[number], self.row_offsets[number + 1]
        parts = [
            self.read_rows(
                offset, min(end, offset + IMAGE_ROWS_AT_ONCE) if self.image_columns else end
            )
            for offset in range(
                start, end, IMAGE_ROWS_AT_ONCE if self.image_columns else max(end - start, 1)
            )
        ] or [self.read_rows(start, end)]
        names = dict(zip(self.selected_columns, self.options.select(self.columns), strict=True))
        return Block(normalize_dtypes(pl.concat(parts).rename(names)))

    def read_rows(self, start: int, end: int) -> pl.DataFrame:
        """Read some rows, with photos saved to the cache."""
        rows = pl.scan_parquet(self.path).select(self.selected_columns).slice(start, end - start)
        try:
            return extract_embedded_files(rows.collect(), self.image_columns)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise damaged_file_error(self.name, error) from error


def open_parquet_blocks(path: Path, name: str, options: ReadOptions) -> ParquetBlocks:
    """Open a Parquet file in blocks.

    Args:
        path: path of the file, not gzipped.
        name: name of the file in messages.
        options: columns and size of blocks.

    Raises:
        DataError: the file is damaged, or the names do not fit.
    """
    try:
        rows = pl.scan_parquet(path)
        schema = rows.collect_schema()
        height = int(rows.select(pl.len()).collect().item())
        columns = (
            validate_names(options.column_names, len(schema))
            if options.column_names
            else schema.names()
        )
        selected = set(options.select(columns))
        pairs = zip(schema.names(), columns, strict=True)
        selected_columns = tuple(file_column for file_column, column in pairs if column in selected)
        binary_columns = [column for column in selected_columns if can_hold_files(schema[column])]
        image_columns = frozenset(
            column for column in binary_columns if has_images(rows, column, height)
        )
        sample = (
            rows.select(pl.col(selected_columns).exclude(binary_columns))
            .head(SAMPLE_ROWS)
            .collect()
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged_file_error(name, error) from error
    bytes_per_row = max(1, int(sample.estimated_size() / max(sample.height, 1)))
    # Only tests request blocks smaller than 1,000 bytes.
    min_rows = 1 if options.block_bytes < MIN_BLOCK_ROWS else MIN_BLOCK_ROWS
    step = (
        IMAGE_ROWS_AT_ONCE
        if binary_columns
        else max(min_rows, options.block_bytes // bytes_per_row)
    )
    row_offsets = (*range(0, height, step), height)
    return ParquetBlocks(
        path,
        name,
        options,
        tuple(columns),
        selected_columns,
        image_columns,
        row_offsets if height else (0, 0),
    )


def has_images(rows: pl.LazyFrame, column: str, height: int) -> bool:
    """Return whether a column of bytes has a photo, checked in batches of rows."""
    parts = (
        rows.select(column).slice(start, IMAGE_ROWS_AT_ONCE).collect()
        for start in range(0, height, IMAGE_ROWS_AT_ONCE)
    )
    return any(extract_embedded_files(part).schema[column] == pl.String for part in parts)
