"""Cut text into rows and cells: the careful way, which any text can go.

`fieldcraft.data.csv_fast_path` cuts texts without oddities to the same result, much faster.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Literal

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.csv_sniffer import CsvDialect, unlimited_cell_length

END_OF_TEXT = "\x04"  # end of transmission: a row that no file of text has
HEADER_SAMPLE_ROWS = 100  # rows that tell the width of a table without names
MIN_ROWLIKE_FRACTION = (
    0.9  # share of the lines of a cell that must look like rows to take it for torn
)


RowFault = Literal["width", "torn", "nul"]  # too few or many cells, a stray mark, NUL characters


@dataclass(frozen=True)
class MalformedRow:
    """A row that does not fit: the line it ends on, the lines lost with it, its cells, and why."""

    last_line: int
    n_lines: int
    n_cells: int
    fault: RowFault

    def __str__(self) -> str:
        """The line, or the lines from first to last."""
        return (
            str(self.last_line)
            if self.n_lines == 1
            else f"{self.last_line - self.n_lines + 1} to {self.last_line}"
        )


@dataclass(frozen=True)
class ParsedTable:
    """A text cut into columns of cells, and the rows that had to be left out."""

    frame: pl.DataFrame
    malformed: tuple[MalformedRow, ...] = ()
    n_unnamed: int = 0  # columns at the end whose cell in the header is blank

    @property
    def n_rows(self) -> int:
        """How many rows the text holds, odd ones among them."""
        return self.frame.height + len(self.malformed)


@dataclass(frozen=True)
class Header:
    """Column names, the rows above the data, and how many names at the end were blank."""

    names: list[str]
    n_rows: int = 0
    n_unnamed: int = 0


@dataclass(frozen=True)
class CsvRows:
    """Rows of cells, blank lines left out, with the lines on which each begins and ends."""

    rows: list[list[str]]
    first_lines: list[int]
    last_lines: list[int]


def parse_csv_strict(
    text: str,
    dialect: CsvDialect,
    names: Sequence[str] = (),
    header: Header | None = None,
    lines_before: int = 0,
) -> ParsedTable:
    """Cut a text by the csv module, row by row.

    Args:
        text: lines that end in ``\\n``.
        dialect: how the text is written.
        names: column names, for a text without a header.
        header: what is known of the columns already, as of a text that is cut in parts.
        lines_before: lines of the whole text that stand before these.

    Raises:
        DataError: the names do not fit, or a quotation mark is never closed.
    """
    lines = text.split("\n")
    csv_rows = (
        read_csv_rows(lines, dialect.delimiter, lines_before)
        if dialect.delimiter
        else read_uncut_lines(lines)
    )
    header = header or determine_header(csv_rows.rows[:HEADER_SAMPLE_ROWS], dialect, names)
    spans = [
        (start - 1, end)
        for start, end in zip(csv_rows.first_lines, csv_rows.last_lines, strict=True)
    ]
    for start, end in spans[: header.n_rows]:
        check_header_quotes(lines[start:end], lines_before + end, dialect.delimiter)
    n_columns = len(header.names)
    has_nul = "\0" in text
    sound_rows: list[list[str]] = []
    malformed: list[MalformedRow] = []
    for row, (start, end) in zip(
        csv_rows.rows[header.n_rows :], spans[header.n_rows :], strict=True
    ):
        cells = row[:-1] if len(row) == n_columns + 1 and not row[-1].strip() else row
        is_suspect = has_nul or end - start > 1 or len(cells) != n_columns
        if is_suspect and (
            malformed_row := check_row(
                lines[start:end], lines_before + end, len(cells), dialect.delimiter, n_columns
            )
        ):
            malformed.append(malformed_row)
        else:
            sound_rows.append(cells)
    return ParsedTable(text_frame(sound_rows, header.names), tuple(malformed), header.n_unnamed)


def text_frame(rows: Sequence[Sequence[str]], header: Sequence[str]) -> pl.DataFrame:
    """A frame of rows of cells as text."""
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return pl.DataFrame(
        [
            pl.Series(name, cells, dtype=pl.String)
            for name, cells in zip(header, columns, strict=True)
        ]
    )


def read_uncut_lines(lines: Sequence[str]) -> CsvRows:
    """Each line that is not blank as a row of one cell."""
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    return CsvRows([[lines[number - 1]] for number in numbers], numbers, numbers)


def read_csv_rows(lines: Sequence[str], delimiter: str, lines_before: int = 0) -> CsvRows:
    """Lines cut into rows of cells, quotes honoured.

    Raises:
        DataError: a quotation mark opens a cell and none closes it.
    """
    # A row of our own at the end: if it does not come back, an open quote has swallowed it.
    input_lines = chain((f"{line}\n" for line in lines), [END_OF_TEXT])
    reader = csv.reader(input_lines, delimiter=delimiter, skipinitialspace=True)
    csv_rows = CsvRows([], [], [])
    row: list[str] = []
    line_before_last, last_line = 0, 0  # lines on which the last two rows end
    with unlimited_cell_length():
        for row in reader:
            if is_nonblank_row(row):
                csv_rows.rows.append(row)
                csv_rows.first_lines.append(last_line + 1)
                csv_rows.last_lines.append(reader.line_num)
            line_before_last, last_line = last_line, reader.line_num
    if row != [END_OF_TEXT]:
        first_line = lines_before + line_before_last + 1
        raise DataError(
            "a quotation mark opens a cell, and none closes it before the file ends",
            detail=f"the row that starts on line {first_line:,} swallows all lines after it",
            hint="close the cell with a second mark; marks within it must be doubled",
        )
    for values in (csv_rows.rows, csv_rows.first_lines, csv_rows.last_lines):
        values.pop()
    return csv_rows


def is_nonblank_row(row: Sequence[str]) -> bool:
    """Whether a row is more than a blank line."""
    return len(row) > 1 or bool(row and row[0].strip())


def check_row(
    lines: Sequence[str], last_line: int, n_cells: int, delimiter: str, n_columns: int
) -> MalformedRow | None:
    """Judge a row that may not fit; None if it is sound.

    Args:
        lines: the lines of the row.
        last_line: the number of the last of them.
        n_cells: how many cells the row has.
        delimiter: what cells are delimited by.
        n_columns: how many cells a row should have.
    """
    if any("\0" in line for line in lines):
        return MalformedRow(last_line, 1, n_cells, "nul")
    if len(lines) > 1 and has_stray_quote(lines, delimiter, n_columns):
        return MalformedRow(last_line, len(lines), n_cells, "torn")
    return MalformedRow(last_line, 1, n_cells, "width") if n_cells != n_columns else None


def has_stray_quote(lines: Sequence[str], delimiter: str, n_columns: int) -> bool:
    """Whether a row of several lines is made by a stray quotation mark that swallowed rows.

    That is so if the cell is not closed as it should be, or if the lines are whole rows each.
    """
    try:
        list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, strict=True,
                        skipinitialspace=True))  # fmt: skip
    except csv.Error:
        return True
    looks_like_row = [
        line.count(delimiter) == n_columns - 1 and f"{delimiter} " not in line
        for line in lines
        if line.strip()
    ]
    return n_columns > 1 and sum(looks_like_row) >= MIN_ROWLIKE_FRACTION * len(looks_like_row)


def check_header_quotes(lines: Sequence[str], last_line: int, delimiter: str) -> None:
    """Refuse column names that a stray quotation mark has made of many lines.

    Raises:
        DataError: the lines are torn.
    """
    if len(lines) > 1 and has_stray_quote(lines, delimiter, lines[0].count(delimiter) + 1):
        raise DataError(
            "a quotation mark among the column names swallows rows",
            detail=f"lines {last_line - len(lines) + 1:,} to {last_line:,} read as one row of names",
            hint="take the mark out of that line, or close it with a second one",
        )


def determine_header(
    first_rows: Sequence[list[str]], dialect: CsvDialect, names: Sequence[str]
) -> Header:
    """The names of the columns, from a row of them or as they are given.

    Args:
        first_rows: the first rows of a text.
        dialect: how the text is written.
        names: the names given for a text without a header.

    Raises:
        DataError: the names given do not fit the rows.
    """
    if not first_rows:
        return Header([])
    if names:
        return header_from_names(first_rows, names)
    if dialect.has_header:
        header_row = next(
            (number for number, row in enumerate(first_rows) if "".join(row).strip()), 0
        )
        n_unnamed = sum(
            1 for _ in takewhile(lambda cell: not cell.strip(), reversed(first_rows[header_row]))
        )
        return Header(make_unique_names(first_rows[header_row]), header_row + 1, n_unnamed)
    return Header([f"column_{number}" for number in range(1, modal_width(first_rows) + 1)])


def modal_width(rows: Sequence[list[str]]) -> int:
    """How many cells most rows have."""
    return Counter(len(row) for row in rows).most_common(1)[0][0]


def header_from_names(first_rows: Sequence[list[str]], names: Sequence[str]) -> Header:
    """The names given for the columns; a first row that repeats them is no row of data.

    Raises:
        DataError: the names do not fit the rows.
    """
    width = modal_width(first_rows)
    last_cells = [row[-1] for row in first_rows if len(row) == width]
    if len(names) == width - 1 and not "".join(last_cells).strip():
        width -= 1  # each line ends in a delimiter
    header = validate_names(names, width)
    lower_names = [name.lower() for name in header]
    return Header(
        header, int([cell.strip().lower() for cell in first_rows[0]][:width] == lower_names)
    )


def validate_names(names: Sequence[str], n_columns: int) -> list[str]:
    """The names given for a file without a header, if they fit it.

    Raises:
        DataError: too few or too many names, or one of them twice.
    """
    cleaned = [name.strip() for name in names]
    if len(cleaned) != n_columns or len(set(cleaned)) != n_columns:
        raise DataError(
            "the names given do not fit the file",
            detail=f"{len(set(cleaned))} different names for {n_columns} columns",
            hint=f"pass --names with exactly {n_columns} different names, separated by commas",
        )
    return cleaned


def make_unique_names(cells: Sequence[str]) -> list[str]:
    """Column names from a header row: blanks named, repeated ones numbered.

    >>> unique_names(["a", "", "a"])
    ['a', 'column_2', 'a.1']
    """
    unique: dict[str, None] = {}
    counts: Counter[str] = Counter()
    for position, cell in enumerate(cells, 1):
        base = cell.strip() or f"column_{position}"
        name = base
        while name in unique:
            counts[base] += 1
            name = f"{base}.{counts[base]}"
        unique[name] = None
    return list(unique)
