"""Parse regular delimited text fast: NumPy finds the rows, Polars splits the cells.

The result is that of `fieldcraft.data.csv_parser.parse_csv_strict`, or None for a text that the
two could parse differently, such as one with stray quotes.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import polars as pl

from fieldcraft.core.types import Array
from fieldcraft.data.csv_parser import (
    HEADER_SAMPLE_ROWS,
    Header,
    MalformedRow,
    ParsedTable,
    check_header_quotes,
    check_row,
    determine_header,
    is_nonblank_row,
    text_frame,
)
from fieldcraft.data.csv_sniffer import CsvDialect, unlimited_cell_length

MAX_LONG_ROWS_CHECKED = 1_000  # rows with one cell too many; more go to the strict parser unchecked
SCAN_BLOCK_BYTES = 1 << 20  # about the size of a CPU cache
NEWLINE, QUOTE, BLANK = ord("\n"), ord('"'), ord(" ")


@dataclass(frozen=True)
class RowOffsets:
    """Positions of the rows in a text.

    Args:
        data: the text in UTF-8; it ends in a newline.
        delimiter: the delimiter of cells.
        starts, ends: byte offsets of each row; the newline is at the end.
        n_cells: number of cells of each row.
        last_lines: the last line of each row, counted from 1.
        lines_before: number of lines of the file before this text.
        has_quotes: whether there are quotes.
        has_leading_blanks: whether a cell starts with a blank.
    """

    data: bytes
    delimiter: str
    starts: Array
    ends: Array
    n_cells: Array
    last_lines: Array
    has_quotes: bool
    has_leading_blanks: bool
    lines_before: int = 0

    @property
    def n_lines(self) -> Array:
        """Number of lines of each row."""
        return np.diff(self.last_lines, prepend=self.lines_before)

    def row_lines(self, row: int) -> list[str]:
        """Return the lines of one row."""
        return self.data[self.starts[row] : self.ends[row]].decode().split("\n")

    def read_cells(self, rows: Array) -> list[list[str]]:
        """Return the cells of some rows, read by the csv module."""
        lines = (f"{line}\n" for row in rows for line in self.row_lines(row))
        reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True)
        with unlimited_cell_length():
            return list(islice(reader, len(rows)))


def parse_csv_fast(
    text: str,
    dialect: CsvDialect,
    names: Sequence[str] = (),
    header: Header | None = None,
    lines_before: int = 0,
) -> ParsedTable | None:
    """Parse a text of at least two columns as `parse_csv_strict` does, or return None.

    Args:
        text: lines that end in ``\\n``.
        dialect: delimiter and header of the text.
        names: column names, for a text without a header.
        header: the columns, if already known, as for later blocks of a file.
        lines_before: number of lines of the file before this text.

    Raises:
        DataError: the names do not fit.
    """
    delimiter = dialect.delimiter
    if not delimiter.isascii() or delimiter in ("", " ") or "\0" in text:
        return None
    offsets = find_row_offsets(
        text if text.endswith("\n") else text + "\n", delimiter, lines_before
    )
    if offsets is None or (offsets.has_quotes and offsets.has_leading_blanks):
        return None
    rows = nonblank_rows(offsets)
    header = header or determine_header(
        offsets.read_cells(rows[:HEADER_SAMPLE_ROWS]), dialect, names
    )
    for row in rows[: header.n_rows]:
        check_header_quotes(offsets.row_lines(row), int(offsets.last_lines[row]), delimiter)
    rows, n_columns = rows[header.n_rows :], len(header.names)
    if n_columns < 2 or has_trailing_delimiters(offsets, rows, n_columns):
        return None
    malformed = find_malformed_rows(offsets, rows, delimiter, n_columns)
    sound_rows = rows[~np.isin(rows, list(malformed))] if malformed else rows
    frame = build_frame(offsets, sound_rows, header.names)
    return (
        None if frame is None else ParsedTable(frame, tuple(malformed.values()), header.n_unnamed)
    )


def find_malformed_rows(
    offsets: RowOffsets, rows: Array, delimiter: str, n_columns: int
) -> dict[int, MalformedRow]:
    """Return the malformed rows by number; only rows of another width or several lines can be."""
    malformed = {}
    for row in rows[(offsets.n_cells[rows] != n_columns) | (offsets.n_lines[rows] > 1)]:
        line, n_cells = int(offsets.last_lines[row]), int(offsets.n_cells[row])
        malformed_row = check_row(offsets.row_lines(row), line, n_cells, delimiter, n_columns)
        if malformed_row:
            malformed[row] = malformed_row
    return malformed


def find_row_offsets(text: str, delimiter: str, lines_before: int = 0) -> RowOffsets | None:
    """Find the rows; None if a quote stands where CSV does not allow one.

    Args:
        text: lines that end in ``\\n``.
        delimiter: the delimiter of cells.
        lines_before: number of lines of the file before this text.
    """
    data = text.encode()
    codes = np.frombuffer(data, np.uint8)
    newlines = find_positions(codes, NEWLINE)
    delimiters = find_positions(codes, ord(delimiter))
    quotes = find_positions(codes, QUOTE) if '"' in text else np.array([], dtype=np.int64)
    ends = newlines
    if len(quotes):
        if not is_quoting_regular(codes, quotes, ord(delimiter)):
            return None
        # Inside a quoted cell the number of quotes before a position is odd; doubled quotes keep
        # the parity. So newlines and delimiters after an odd number belong to a cell.
        ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        delimiters = delimiters[np.searchsorted(quotes, delimiters) % 2 == 0]
    starts = np.concatenate([[0], ends[:-1] + 1])
    # The substring search is fast but also finds blanks inside quoted cells, so hits are verified.
    cell_starts = (f"{delimiter} ", "\n ")
    has_leading_blanks = text.startswith(" ") or any(start in text for start in cell_starts)
    if has_leading_blanks:
        has_leading_blanks = bool(
            (codes[starts] == BLANK).any() or (codes[delimiters + 1] == BLANK).any()
        )
    n_cells = np.diff(np.searchsorted(delimiters, ends), prepend=0) + 1
    last_lines = np.searchsorted(newlines, ends) + 1 + lines_before
    return RowOffsets(
        data,
        delimiter,
        starts,
        ends,
        n_cells,
        last_lines,
        bool(len(quotes)),
        has_leading_blanks,
        lines_before,
    )


def find_positions(codes: Array, code: int) -> Array:
    """Return the positions of a byte, block by block, as large temporary arrays are slow."""
    blocks = [
        start + np.flatnonzero(codes[start : start + SCAN_BLOCK_BYTES] == code)
        for start in range(0, len(codes), SCAN_BLOCK_BYTES)
    ]
    return np.concatenate(blocks)


def is_quoting_regular(codes: Array, quotes: Array, delimiter: int) -> bool:
    """Return whether each quoted cell is quoted as a whole, with quotes inside it doubled."""
    if len(quotes) % 2:
        return False
    opening, closing = quotes[0::2], quotes[1::2]
    # At the first byte `opening - 1` is -1, the final newline: as if a newline preceded the text.
    before, after = codes[opening - 1], codes[closing + 1]
    borders = [delimiter, NEWLINE, QUOTE]
    return bool(np.isin(before, borders).all() and np.isin(after, borders).all())


def nonblank_rows(offsets: RowOffsets) -> Array:
    """Return the numbers of the rows that are more than a blank line."""
    is_nonblank = (offsets.n_cells > 1) | (offsets.starts < offsets.ends)
    for row in np.flatnonzero(is_nonblank & (offsets.n_cells == 1)):
        is_nonblank[row] = any(
            is_nonblank_row(cells) for cells in offsets.read_cells(np.array([row]))
        )
    return np.flatnonzero(is_nonblank)


def has_trailing_delimiters(offsets: RowOffsets, rows: Array, n_columns: int) -> bool:
    """Return whether rows have an empty cell too many, from a delimiter at the end of the line."""
    longer_rows = rows[offsets.n_cells[rows] == n_columns + 1]
    if len(longer_rows) > MAX_LONG_ROWS_CHECKED:
        return True
    return any(not cells[-1].strip() for cells in offsets.read_cells(longer_rows))


def build_frame(offsets: RowOffsets, rows: Array, header: Sequence[str]) -> pl.DataFrame | None:
    """Build a frame of some rows; None if Polars finds another number of rows or columns."""
    if not len(rows):
        return text_frame([], header)
    breaks = np.flatnonzero(np.diff(rows) > 1)  # positions after which a row is left out
    starts = offsets.starts[rows[np.append(0, breaks + 1)]]
    ends = offsets.ends[rows[np.append(breaks, len(rows) - 1)]] + 1
    # Consecutive rows are copied as one slice; the view avoids a second copy of each.
    view = memoryview(offsets.data)
    selected_bytes = b"".join(view[start:end] for start, end in zip(starts, ends, strict=True))
    if selected_bytes.startswith(codecs.BOM_UTF8):  # here it is data, and Polars would drop it
        return None
    frame = pl.read_csv(
        selected_bytes,
        has_header=False,
        separator=offsets.delimiter,
        quote_char='"' if offsets.has_quotes else None,
        infer_schema=False,
    )
    if frame.shape != (len(rows), len(header)):
        return None
    cells = pl.all().fill_null("")
    if offsets.has_leading_blanks:
        cells = cells.str.strip_chars_start(" ")
    return frame.select(cells).rename(dict(zip(frame.columns, header, strict=True)))
