"""Parse delimited text row by row, whatever oddities it has.

`fieldcraft.data.csv_fast_path` gives the same result for regular text, much faster.
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

END_OF_TEXT = "\x04"  # end of transmission: no text file has this row
HEADER_SAMPLE_ROWS = 100  # rows that determine the width of a table without a header
# If at least this fraction of the lines of a quoted cell look like whole rows, its quote is stray.
# Not all of them must: one malformed line among many swallowed rows must not hide the rest.
MIN_ROWLIKE_FRACTION = 0.9

# A wrong number of cells, a quotation mark that joins rows, or NUL characters.
RowFault = Literal["width", "stray_quote", "nul"]


@dataclass(frozen=True)
class MalformedRow:
    """A malformed row: its last line, the number of its lines and of its cells, and its fault."""

    last_line: int
    n_lines: int
    n_cells: int
    fault: RowFault

    def __str__(self) -> str:
        """Return the line number, or the range of lines."""
        return (
            str(self.last_line)
            if self.n_lines == 1
            else f"{self.last_line - self.n_lines + 1} to {self.last_line}"
        )


@dataclass(frozen=True)
class ParsedTable:
    """The cells of a text, by column, and the malformed rows that were left out."""

    frame: pl.DataFrame
    malformed: tuple[MalformedRow, ...] = ()
    n_unnamed: int = 0  # columns at the end without a name in the header

    @property
    def n_rows(self) -> int:
        """Number of rows in the text, malformed ones included."""
        return self.frame.height + len(self.malformed)


@dataclass(frozen=True)
class Header:
    """Column names, the number of rows above the data, and of blank names at the end."""

    names: list[str]
    n_rows: int = 0
    n_unnamed: int = 0


@dataclass(frozen=True)
class CsvRows:
    """Rows of cells, without blank lines, with the first and last line of each."""

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
    """Parse a text with the csv module, row by row.

    Args:
        text: lines that end in ``\\n``.
        dialect: delimiter and header of the text.
        names: column names, for a text without a header.
        header: the columns, if already known, as for later blocks of a file.
        lines_before: number of lines of the file before this text.

    Raises:
        DataError: the names do not fit, or a quote is never closed.
    """
    lines = text.split("\n")
    csv_rows = (
        read_csv_rows(lines, dialect.delimiter, lines_before)
        if dialect.delimiter
        else read_single_cell_rows(lines)
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
        # Counting cells clears most rows; checking their lines is much slower.
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
    """Build a frame of text columns from rows of cells."""
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return pl.DataFrame(
        [
            pl.Series(name, cells, dtype=pl.String)
            for name, cells in zip(header, columns, strict=True)
        ]
    )


def read_single_cell_rows(lines: Sequence[str]) -> CsvRows:
    """Return each line that is not blank as a row of one cell."""
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    return CsvRows([[lines[number - 1]] for number in numbers], numbers, numbers)


def read_csv_rows(lines: Sequence[str], delimiter: str, lines_before: int = 0) -> CsvRows:
    """Split lines into rows of cells; quoted cells may hold delimiters and newlines.

    Raises:
        DataError: a quote opens a cell and none closes it.
    """
    # A sentinel row at the end: if the reader does not return it, an open quote has swallowed it.
    # The csv module itself does not report that.
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
            hint="close the cell with a second quotation mark; marks within a cell must be doubled",
        )
    for values in (csv_rows.rows, csv_rows.first_lines, csv_rows.last_lines):
        values.pop()
    return csv_rows


def is_nonblank_row(row: Sequence[str]) -> bool:
    """Return whether a row is more than a blank line."""
    return len(row) > 1 or bool(row and row[0].strip())


def check_row(
    lines: Sequence[str], last_line: int, n_cells: int, delimiter: str, n_columns: int
) -> MalformedRow | None:
    """Return the fault of a row, or None if the row is sound.

    Args:
        lines: the lines of the row.
        last_line: the number of the last of them.
        n_cells: how many cells the row has.
        delimiter: the delimiter of cells.
        n_columns: how many cells a row should have.
    """
    if any("\0" in line for line in lines):
        return MalformedRow(last_line, 1, n_cells, "nul")
    if len(lines) > 1 and has_stray_quote(lines, delimiter, n_columns):
        return MalformedRow(last_line, len(lines), n_cells, "stray_quote")
    return MalformedRow(last_line, 1, n_cells, "width") if n_cells != n_columns else None


def has_stray_quote(lines: Sequence[str], delimiter: str, n_columns: int) -> bool:
    """Return whether a stray quote has joined several rows into this one.

    This is so if a quoted cell continues after its closing quote, or if its lines look like whole
    rows.
    """
    try:
        list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, strict=True,
                        skipinitialspace=True))  # fmt: skip
    except csv.Error:
        return True
    # A delimiter followed by a blank is a sign of prose, whose commas may match by chance.
    looks_like_row = [
        line.count(delimiter) == n_columns - 1 and f"{delimiter} " not in line
        for line in lines
        if line.strip()
    ]
    return n_columns > 1 and sum(looks_like_row) >= MIN_ROWLIKE_FRACTION * len(looks_like_row)


def check_header_quotes(lines: Sequence[str], last_line: int, delimiter: str) -> None:
    """Check that no stray quote has joined the header with rows below it.

    Raises:
        DataError: one has.
    """
    if len(lines) > 1 and has_stray_quote(lines, delimiter, lines[0].count(delimiter) + 1):
        raise DataError(
            "a quotation mark among the column names swallows rows",
            detail=f"lines {last_line - len(lines) + 1:,} to {last_line:,} form one row of names",
            hint="remove the quotation mark from that line, or close it with a second one",
        )


def determine_header(
    first_rows: Sequence[list[str]], dialect: CsvDialect, names: Sequence[str]
) -> Header:
    """Determine the column names from the first rows, or from the names that are given.

    Args:
        first_rows: the first rows of a text.
        dialect: delimiter and header of the text.
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
    """Return the most frequent number of cells."""
    return Counter(len(row) for row in rows).most_common(1)[0][0]


def header_from_names(first_rows: Sequence[list[str]], names: Sequence[str]) -> Header:
    """Use the names that are given; a first row that repeats them is skipped.

    Raises:
        DataError: the names do not fit the rows.
    """
    width = modal_width(first_rows)
    last_cells = [row[-1] for row in first_rows if len(row) == width]
    if len(names) == width - 1 and not "".join(last_cells).strip():
        width -= 1  # each line ends with a delimiter
    header = validate_names(names, width)
    lower_names = [name.lower() for name in header]
    return Header(
        header, int([cell.strip().lower() for cell in first_rows[0]][:width] == lower_names)
    )


def validate_names(names: Sequence[str], n_columns: int) -> list[str]:
    """Return the names given for the columns, trimmed.

    Raises:
        DataError: their number is wrong, or one occurs twice.
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
    """Make column names of a header row: blank ones get a name, repeated ones a number.

    >>> make_unique_names(["a", "", "a"])
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
