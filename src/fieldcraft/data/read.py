"""Read a table as it stands: CSV and TSV (also .gz), Parquet, a Polars or pandas frame.

Cells of text files stay text here; what they mean is decided per column by its kind, in one
place (`fieldcraft.data.table.Schema`), for training and prediction alike.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.sniff import Dialect, decode, sniff

END = "\x04"  # end of transmission: a row that no file of text has
ODD_ROWS_ALLOWED = 0.01  # share of rows with too few or too many cells that may be set aside


@dataclass(frozen=True)
class Reading:
    """A table as read: cells untouched, how the file was written, and lines set aside."""

    frame: pl.DataFrame
    dialect: Dialect | None = None
    odd_lines: tuple[int, ...] = field(default=())


def read_table(source: Path, names: Sequence[str] = ()) -> Reading:
    """Read a file into a frame; text files give text cells.

    Args:
        source: a .csv, .tsv, .txt or .parquet file, text files also with .gz.
        names: column names for a file without a header.

    Raises:
        DataError: the file is missing, empty, damaged, or not of a known form.
    """
    if not source.exists():
        beside = [path.name for path in source.parent.glob(f"{source.stem[:3]}*")][:5]
        raise DataError(
            f"there is no file {source}",
            seen=f"beside it: {', '.join(beside)}" if beside else f"folder: {source.parent}",
            way_out="make sure that the path is right; relative ones start where the command runs",
        )
    plain = source.name.removesuffix(".gz")
    reader = READERS.get(Path(plain).suffix.lower())
    if reader is None:
        raise DataError(
            f"cannot tell what kind of table {source.name} is",
            seen=f"ending {Path(plain).suffix!r}",
            way_out=f"use one of: {', '.join(READERS)} (text files also with .gz)",
        )
    reading = reader(source, names)
    if reading.frame.is_empty() or reading.frame.width == 0:
        raise DataError(
            f"{source.name} holds no rows",
            seen=f"{reading.frame.height} rows x {reading.frame.width} columns",
            way_out="use a file with at least one row of data under its column names",
        )
    return reading


def from_frame(frame: Any) -> pl.DataFrame:
    """A Polars frame from a Polars or pandas one; the row index of pandas is left behind.

    Raises:
        DataError: the object is neither, or its columns are mixed or share a name.
    """
    if isinstance(frame, pl.DataFrame):
        return plain_columns(frame)
    if isinstance(frame, pl.LazyFrame):
        return plain_columns(frame.collect())
    if type(frame).__module__.startswith("pandas") and hasattr(frame, "columns"):
        try:
            found: pl.DataFrame = pl.from_pandas(frame.rename(columns=str))
        except (TypeError, ValueError) as error:  # pyarrow's own errors are among these
            raise DataError(
                "this pandas table cannot be turned into typed columns",
                seen=str(error).splitlines()[0],
                way_out="use one type and a name of its own for each column; "
                "a mixed column reads as text: frame[name].astype(str)",
            ) from error
        return found
    raise DataError(
        "this is not a table",
        seen=f"an object of type {type(frame).__name__}",
        way_out="pass a Polars or pandas DataFrame, or the path of a file",
    )


def plain_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with decimals as floats, times of day and durations as seconds.

    Raises:
        DataError: a column holds lists, records or bytes, of which no kind of column is made.
    """
    kinds = frame.schema
    odd = [name for name, k in kinds.items() if k.is_nested() or k in (pl.Binary, pl.Object)]
    if odd:
        raise DataError(
            "some columns do not hold single values",
            seen=", ".join(f"{name} ({frame.schema[name]})" for name in odd[:5]),
            way_out="drop them, or set them out as columns of numbers, words or dates",
        )
    if not any(k in (pl.Decimal, pl.Time, pl.Duration) for k in kinds.values()):
        return frame
    return frame.with_columns(
        pl.col(pl.Decimal).cast(pl.Float64),
        pl.col(pl.Time).cast(pl.Duration).dt.total_seconds(),
        pl.col(pl.Duration).dt.total_seconds(),
    )


def read_parquet(source: Path, names: Sequence[str] = ()) -> Reading:
    """Read a Parquet file; names, if given, replace those in the file."""
    try:
        frame = pl.read_parquet(source)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"{source.name} cannot be read as Parquet",
            seen=str(error).splitlines()[0],
            way_out="use a Parquet file that is whole, or export the table again",
        ) from error
    if names:
        frame = frame.rename(
            dict(zip(frame.columns, checked_names(names, frame.width), strict=True))
        )
    return Reading(plain_columns(frame))


def read_text(source: Path, names: Sequence[str] = ()) -> Reading:
    """Read a delimited text file, its delimiter, header and encoding found from its content."""
    text, encoding = decode(file_bytes(source), source.name)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        return Reading(pl.DataFrame())
    dialect = replace(sniff(text), encoding=encoding)
    header, rows, lines = cut(text, dialect, names)
    width = len(header)
    odd = [line for row, line in zip(rows, lines, strict=True) if len(row) != width]
    if len(odd) > max(1, ODD_ROWS_ALLOWED * len(rows)):
        raise DataError(
            f"{len(odd):,} of {len(rows):,} rows of {source.name} do not have {width} cells",
            seen=f"first such lines: {', '.join(map(str, odd[:5]))}",
            way_out="make sure that quotes on those lines are closed; pass --names for a file "
            "without a header",
        )
    kept = [row for row in rows if len(row) == width] if odd else rows
    cells = zip(*kept, strict=True) if kept else [()] * width
    columns = {
        name: pl.Series(name, values, dtype=pl.String)
        for name, values in zip(header, cells, strict=True)
    }
    dialect = replace(dialect, header=dialect.header and not names)
    return Reading(pl.DataFrame(columns), dialect, tuple(odd))


def file_bytes(source: Path) -> bytes:
    """All bytes of a file, unpacked if it is gzipped.

    Raises:
        DataError: the archive is damaged or cut short.
    """
    data = source.read_bytes()
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{source.name} cannot be unpacked",
            seen=str(error),
            way_out="use a gzip file that is whole; copy or download it again",
        ) from error


def cut(
    text: str, dialect: Dialect, names: Sequence[str]
) -> tuple[list[str], list[list[str]], list[int]]:
    """Column names, rows of cells, and the line number on which each row ends."""
    rows, lines = cut_rows(text, dialect.delimiter)
    if not rows:
        header = list(names)
    elif names:
        widths = Counter(len(row) for row in rows[:100])
        header = checked_names(names, widths.most_common(1)[0][0])
        if [cell.strip().lower() for cell in rows[0]] == [name.lower() for name in header]:
            rows, lines = rows[1:], lines[1:]
    elif dialect.header:
        header, rows, lines = unique_names(rows[0]), rows[1:], lines[1:]
    else:
        header = [f"column_{i}" for i in range(1, len(rows[0]) + 1)]
    return header, rows, lines


def cut_rows(text: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """Rows of cells, blank lines left out, and the line number on which each row ends.

    Raises:
        DataError: a quotation mark opens a cell and none closes it.
    """
    # A row of our own at the end: if it does not come back, an open quote has swallowed it.
    source = chain(io.StringIO(text, newline=""), [END])
    reader = csv.reader(source, delimiter=delimiter, skipinitialspace=True)
    rows: list[list[str]] = []
    lines: list[int] = []
    row: list[str] = []
    before, last = 0, 0  # lines on which the last two rows end
    limit = csv.field_size_limit(max(len(text), 1))  # a long text is an honest cell
    try:
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                rows.append(row)
                lines.append(reader.line_num)
            before, last = last, reader.line_num
    finally:
        csv.field_size_limit(limit)
    if row != [END]:
        raise DataError(
            "a quotation mark opens a cell, and none closes it before the file ends",
            seen=f"the row that starts on line {before + 1:,} swallows all lines after it",
            way_out="close the cell with a second mark; marks within it must be doubled",
        )
    return rows[:-1], lines[:-1]


def checked_names(names: Sequence[str], width: int) -> list[str]:
    """The names given for a file without a header, if they fit it.

    Raises:
        DataError: too few or too many names, or one of them twice.
    """
    cleaned = [name.strip() for name in names]
    if len(cleaned) != width or len(set(cleaned)) != width:
        raise DataError(
            "the names given do not fit the file",
            seen=f"{len(set(cleaned))} different names for {width} columns",
            way_out=f"pass --names with exactly {width} different names, separated by commas",
        )
    return cleaned


def unique_names(cells: Sequence[str]) -> list[str]:
    """Column names from a header row: blanks named, repeated ones numbered.

    >>> unique_names(["a", "", "a"])
    ['a', 'column_2', 'a.1']
    """
    found: list[str] = []
    for position, cell in enumerate(cells, 1):
        base = cell.strip() or f"column_{position}"
        name, count = base, 0
        while name in found:
            count += 1
            name = f"{base}.{count}"
        found.append(name)
    return found


READERS: dict[str, Callable[[Path, Sequence[str]], Reading]] = {
    ".csv": read_text,
    ".tsv": read_text,
    ".txt": read_text,
    ".parquet": read_parquet,
}
