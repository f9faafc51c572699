"""Parquet files in blocks of rows; of each only the columns that are wanted are read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.blobs import holds_files
from fieldcraft.data.blocks.shape import Piece, Wish
from fieldcraft.data.cut import checked_names
from fieldcraft.data.frames import plain_columns, with_files
from fieldcraft.data.sources.parquet import SLICE

SEEN = 1_000  # rows that tell how many bytes a row takes
LEAST = 1_000  # rows of a block, for each of them costs a look at the file


@dataclass(frozen=True)
class Columnar:
    """A Parquet file in blocks.

    Attributes:
        path: of the file, not gzipped.
        name: what it is called in messages.
        wish: how it is to be read.
        columns: the names of the columns.
        given: the names in the file of the columns that are wanted.
        blobs: columns that hold photos.
        starts: the first row of each block, and the number of rows at the end.
    """

    path: Path
    name: str
    wish: Wish
    columns: tuple[str, ...]
    given: tuple[str, ...]
    blobs: frozenset[str]
    starts: tuple[int, ...]

    @property
    def weights(self) -> tuple[int, ...]:
        """Rows of each block."""
        return tuple(end - start for start, end in pairwise(self.starts))

    def read(self, number: int) -> Piece:
        """The rows of a block.

        Raises:
            DataError: the file is damaged, or columns hold lists or records.
        """
        start, end = self.starts[number], self.starts[number + 1]
        parts = [
            self.slice(at, min(end, at + SLICE) if self.blobs else end)
            for at in range(start, end, SLICE if self.blobs else max(end - start, 1))
        ] or [self.slice(start, end)]
        names = dict(zip(self.given, self.wish.kept(self.columns), strict=True))
        return Piece(plain_columns(pl.concat(parts).rename(names)))

    def slice(self, start: int, end: int) -> pl.DataFrame:
        """Some rows, photos as files of the cache."""
        rows = pl.scan_parquet(self.path).select(self.given).slice(start, end - start)
        try:
            return with_files(rows.collect(), self.blobs)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise damaged(self.name, error) from error


def in_rows(path: Path, name: str, wish: Wish) -> Columnar:
    """A Parquet file in blocks.

    Args:
        path: of the file, not gzipped.
        name: what it is called in messages.
        wish: how it is to be read.

    Raises:
        DataError: the file is damaged, or the names do not fit.
    """
    try:
        rows = pl.scan_parquet(path)
        schema = rows.collect_schema()
        height = int(rows.select(pl.len()).collect().item())
        columns = checked_names(wish.names, len(schema)) if wish.names else schema.names()
        kept = set(wish.kept(columns))
        pairs = zip(schema.names(), columns, strict=True)
        given = tuple(own for own, column in pairs if column in kept)
        blobs = [column for column in given if holds_files(schema[column])]
        photos = frozenset(column for column in blobs if has_photos(rows, column, height))
        sample = rows.select(pl.col(given).exclude(blobs)).head(SEEN).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise damaged(name, error) from error
    bytes_of_row = max(1, int(sample.estimated_size() / max(sample.height, 1)))
    least = 1 if wish.size < LEAST else LEAST
    step = SLICE if blobs else max(least, wish.size // bytes_of_row)
    starts = (*range(0, height, step), height)
    return Columnar(path, name, wish, tuple(columns), given, photos, starts if height else (0, 0))


def has_photos(rows: pl.LazyFrame, column: str, height: int) -> bool:
    """Whether a column of bytes holds a photo; looked for some rows at a time."""
    parts = (rows.select(column).slice(start, SLICE).collect() for start in range(0, height, SLICE))
    return any(with_files(part).schema[column] == pl.String for part in parts)


def damaged(name: str, error: Exception) -> DataError:
    """The error for a file that is no whole Parquet file."""
    return DataError(
        f"{name} cannot be read as Parquet",
        seen=str(error).splitlines()[0],
        way_out="use a Parquet file that is whole, or export the table again",
    )
