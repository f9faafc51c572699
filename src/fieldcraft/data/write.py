"""Write tables part by part: CSV for people, Parquet and JSON lines for programs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fieldcraft.core.errors import DataError

GROUP = 1 << 17  # rows of a group in a Parquet file


@dataclass(frozen=True)
class Form:
    """A form of files.

    Attributes:
        write: writes the file of one part; the last argument says whether it is the first.
        join: makes one file of the files of all parts, in little memory and always the same.
    """

    write: Callable[[pl.DataFrame, Path, bool], None]
    join: Callable[[Sequence[Path], Path], None]


def write_csv(table: pl.DataFrame, path: Path, first: bool) -> None:
    """Write a part of a CSV file, column names in the first."""
    harmless(table).write_csv(path, include_header=first)


def write_lines(table: pl.DataFrame, path: Path, first: bool) -> None:
    """Write a part of a file of JSON lines."""
    table.write_ndjson(path)


def write_parquet(table: pl.DataFrame, path: Path, first: bool) -> None:
    """Write a part of a Parquet file, as such a file; it is read once more, so packed lightly."""
    table.write_parquet(path, compression="lz4")


def join_text(parts: Sequence[Path], path: Path) -> None:
    """Put text files one after the other."""
    with path.open("wb") as out:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, out, 1 << 20)


def join_parquet(parts: Sequence[Path], path: Path) -> None:
    """Put the rows of Parquet files one after the other; groups of rows are all of a size."""
    pl.scan_parquet(list(parts)).sink_parquet(path, row_group_size=GROUP, maintain_order=True)


FORMS: Mapping[str, Form] = {
    ".csv": Form(write_csv, join_text),
    ".parquet": Form(write_parquet, join_parquet),
    ".jsonl": Form(write_lines, join_text),
}


def form_of(out: Path) -> Form:
    """The form that a file is to have by its name.

    Raises:
        DataError: there is none of that ending.
    """
    suffix = out.suffix.lower()
    if suffix not in FORMS:
        raise DataError(
            f"cannot tell how to write {out.name}",
            seen=f"ending {suffix!r}",
            way_out=f"use -o with a name that ends in {', '.join(FORMS)}",
        )
    return FORMS[suffix]


def harmless(table: pl.DataFrame) -> pl.DataFrame:
    """A table of which no text is a formula where a spreadsheet opens it.

    Texts that start like one get an apostrophe before them (OWASP, *CSV Injection*).
    """
    texts = [name for name, kind in table.schema.items() if kind == pl.String]
    risky = {name: pl.col(name).str.contains(r"^[=+\-@\t\r]") for name in texts}
    number = {name: pl.col(name).cast(pl.Float64, strict=False).is_not_null() for name in texts}
    return table.with_columns(
        pl.when(risky[name] & ~number[name])
        .then(pl.concat_str(pl.lit("'"), pl.col(name)))
        .otherwise(pl.col(name))
        .alias(name)
        for name in texts
    )
