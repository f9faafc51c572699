"""Write tables part by part, as CSV, Parquet or JSON Lines."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fieldcraft.core.errors import DataError

ROW_GROUP_ROWS = 1 << 17  # per row group of a Parquet file


@dataclass(frozen=True)
class TableFormat:
    """A file format.

    Attributes:
        write: writes the file of one part: rows, path, and whether it is the first part.
        join: concatenates the files of all parts deterministically and in little memory.
    """

    write: Callable[[pl.DataFrame, Path, bool], None]
    join: Callable[[Sequence[Path], Path], None]


def write_csv(table: pl.DataFrame, path: Path, is_first: bool) -> None:
    """Write a part of a CSV file; the first part has the header."""
    escape_formulas(table).write_csv(path, include_header=is_first)


def write_json_lines(table: pl.DataFrame, path: Path, is_first: bool) -> None:
    """Write a part of a JSON Lines file."""
    table.write_ndjson(path)


def write_parquet(table: pl.DataFrame, path: Path, is_first: bool) -> None:
    """Write a part of a Parquet file as a Parquet file."""
    # lz4, since the part is read once and then removed: speed matters more than size.
    table.write_parquet(path, compression="lz4")


def concat_text(parts: Sequence[Path], path: Path) -> None:
    """Concatenate text files."""
    with path.open("wb") as out:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, out, 1 << 20)


def concat_parquet(parts: Sequence[Path], path: Path) -> None:
    """Concatenate Parquet files into row groups of equal size, whatever the size of the parts."""
    pl.scan_parquet(list(parts)).sink_parquet(
        path, row_group_size=ROW_GROUP_ROWS, maintain_order=True
    )


TABLE_FORMATS: Mapping[str, TableFormat] = {
    ".csv": TableFormat(write_csv, concat_text),
    ".parquet": TableFormat(write_parquet, concat_parquet),
    ".jsonl": TableFormat(write_json_lines, concat_text),
}


def find_format(path: Path) -> TableFormat:
    """Return the format of a file by its extension.

    Raises:
        DataError: the extension is unknown.
    """
    suffix = path.suffix.lower()
    if suffix not in TABLE_FORMATS:
        raise DataError(
            f"cannot determine the format of {path.name}",
            detail=f"file extension {suffix!r}",
            hint=f"use -o with a name that ends in {', '.join(TABLE_FORMATS)}",
        )
    return TABLE_FORMATS[suffix]


def escape_formulas(table: pl.DataFrame) -> pl.DataFrame:
    """Escape texts that a spreadsheet would run as formulas, by an apostrophe before them.

    See OWASP, *CSV Injection*. Numbers such as -5 stay.
    """
    text_columns = [name for name, dtype in table.schema.items() if dtype == pl.String]
    # Tab and carriage return too: spreadsheets skip them before a formula.
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
