"""Write tables part by part: CSV for people, Parquet and JSON lines for programs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fieldcraft.core.errors import DataError

ROW_GROUP_ROWS = 1 << 17  # rows of a group in a Parquet file


@dataclass(frozen=True)
class TableFormat:
    """A form of files.

    Attributes:
        write: writes the file of one part; the last argument says whether it is the first.
        join: makes one file of the files of all parts, in little memory and always the same.
    """

    write: Callable[[pl.DataFrame, Path, bool], None]
    join: Callable[[Sequence[Path], Path], None]


def write_csv(table: pl.DataFrame, path: Path, is_first: bool) -> None:
    """Write a part of a CSV file, column names in the first."""
    escape_formulas(table).write_csv(path, include_header=is_first)


def write_json_lines(table: pl.DataFrame, path: Path, is_first: bool) -> None:
    """Write a part of a file of JSON lines."""
    table.write_ndjson(path)


def write_parquet(table: pl.DataFrame, path: Path, is_first: bool) -> None:
    """Write a part of a Parquet file, as such a file; it is read once more, so packed lightly."""
    table.write_parquet(path, compression="lz4")


def concat_text(parts: Sequence[Path], path: Path) -> None:
    """Put text files one after the other."""
    with path.open("wb") as out:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, out, 1 << 20)


def concat_parquet(parts: Sequence[Path], path: Path) -> None:
    """Put the rows of Parquet files one after the other; groups of rows are all of a size."""
    pl.scan_parquet(list(parts)).sink_parquet(
        path, row_group_size=ROW_GROUP_ROWS, maintain_order=True
    )


TABLE_FORMATS: Mapping[str, TableFormat] = {
    ".csv": TableFormat(write_csv, concat_text),
    ".parquet": TableFormat(write_parquet, concat_parquet),
    ".jsonl": TableFormat(write_json_lines, concat_text),
}


def find_format(path: Path) -> TableFormat:
    """The form that a file is to have by its name.

    Raises:
        DataError: there is none of that ending.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_FORMATS:
        raise DataError(
            f"cannot tell how to write {path.name}",
            detail=f"ending {suffix!r}",
            hint=f"use -o with a name that ends in {', '.join(TABLE_FORMATS)}",
        )
    return TABLE_FORMATS[suffix]


def escape_formulas(table: pl.DataFrame) -> pl.DataFrame:
    """A table of which no text is a formula where a spreadsheet opens it.

    Texts that start like one get an apostrophe before them (OWASP, *CSV Injection*).
    """
    text_columns = [name for name, dtype in table.schema.items() if dtype == pl.String]
    looks_like_formula = {name: pl.col(name).str.contains(r"^[=+\-@\t\r]") for name in text_columns}
    is_number = {
        name: pl.col(name).cast(pl.Float64, strict=False).is_not_null() for name in text_columns
    }
    return table.with_columns(
        pl.when(looks_like_formula[name] & ~is_number[name])
        .then(pl.concat_str(pl.lit("'"), pl.col(name)))
        .otherwise(pl.col(name))
        .alias(name)
        for name in text_columns
    )
