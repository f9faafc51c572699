"""Cut text into rows and cells the fast way: NumPy finds the rows, Polars cuts the cells.

It gives the same cells as `fieldcraft.data.cut.cut_carefully`, or None for a text with anything
that the two could understand in different ways, such as stray quotation marks.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcraft.data.cut import (
    FIRST,
    Cut,
    Odd,
    columns_of,
    header_of,
    is_filled,
    odd_row,
    refuse_torn_header,
)
from fieldcraft.data.sniff import Dialect, cells_of_any_length

Array = npt.NDArray[Any]
MANY = 1_000  # rows of a cell too many: then it is not worth looking at each
NEWLINE, QUOTE, BLANK = ord("\n"), ord('"'), ord(" ")


@dataclass(frozen=True)
class Layout:
    """Where rows lie in bytes that end in a newline.

    Args:
        starts, ends: of each row; its newline is at its end.
        widths: cells of each row.
        lines: the line on which each row ends, counted from 1.
        quoted: whether there are quotation marks.
        spaced: whether a cell begins with a blank.
    """

    starts: Array
    ends: Array
    widths: Array
    lines: Array
    quoted: bool
    spaced: bool

    @property
    def heights(self) -> Array:
        """Lines that each row takes."""
        return np.diff(self.lines, prepend=0)


def cut_quickly(text: str, dialect: Dialect, names: Sequence[str] = ()) -> Cut | None:
    """Cut a text of at least two columns as `cut_carefully` does; None where that is not sure.

    Args:
        text: lines that end in ``\\n``.
        dialect: how the text is written.
        names: column names, for a text without a header.

    Raises:
        DataError: the names do not fit.
    """
    if not dialect.delimiter.isascii() or dialect.delimiter in ("", " ") or "\0" in text:
        return None
    data = text.encode()
    data = data if data.endswith(b"\n") else data + b"\n"
    layout = lay_out(data, dialect.delimiter)
    if layout is None or (layout.quoted and layout.spaced):
        return None
    rows = np.flatnonzero(filled_rows(data, layout, dialect.delimiter))
    first = rows[:FIRST]
    head = header_of(rows_at(data, layout, first, dialect.delimiter), dialect, names)
    for row in first[: head.rows]:
        refuse_torn_header(lines_at(data, layout, row), int(layout.lines[row]), dialect.delimiter)
    rows, width = rows[head.rows :], len(head.names)
    if width < 2 or have_empty_ends(data, layout, rows, width, dialect.delimiter):
        return None
    odd: dict[int, Odd] = {}
    for row in rows[(layout.widths[rows] != width) | (layout.heights[rows] > 1)]:
        line, cells = int(layout.lines[row]), int(layout.widths[row])
        judged = odd_row(lines_at(data, layout, row), line, cells, dialect.delimiter, width)
        if judged:
            odd[row] = judged
    kept = rows[~np.isin(rows, list(odd))] if odd else rows
    frame = cells_at(data, layout, kept, head.names, dialect.delimiter)
    return None if frame is None else Cut(frame, tuple(odd.values()), head.nameless)


def lay_out(data: bytes, delimiter: str) -> Layout | None:
    """Where the rows lie; None if a quotation mark stands where CSV does not have one."""
    codes = np.frombuffer(data, np.uint8)
    newlines = np.flatnonzero(codes == NEWLINE)
    marks = np.flatnonzero(codes == ord(delimiter))
    quotes = np.flatnonzero(codes == QUOTE)
    ends = newlines
    if len(quotes):
        if not are_regular(codes, quotes, ord(delimiter)):
            return None
        # Within a quoted cell the number of marks before it is odd.
        ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    starts = np.concatenate([[0], ends[:-1] + 1])
    return Layout(
        starts,
        ends,
        np.diff(np.searchsorted(marks, ends), prepend=0) + 1,
        np.searchsorted(newlines, ends) + 1,
        bool(len(quotes)),
        has_spaces(data, codes, starts, marks),
    )


def has_spaces(data: bytes, codes: Array, starts: Array, marks: Array) -> bool:
    """Whether a cell begins with a blank; within quotes it may stand after a mark all the same."""
    mark = data[marks[0] : marks[0] + 1] if len(marks) else b"\n"
    if not (data.startswith(b" ") or b"\n " in data or mark + b" " in data):
        return False
    return bool((codes[starts] == BLANK).any() or (codes[marks + 1] == BLANK).any())


def are_regular(codes: Array, quotes: Array, delimiter: int) -> bool:
    """Whether every quoted cell is quoted as a whole, and marks within it are doubled."""
    if len(quotes) % 2:
        return False
    opening, closing = quotes[0::2], quotes[1::2]
    before, after = codes[opening - 1], codes[closing + 1]  # the byte before the first: a newline
    borders = [delimiter, NEWLINE, QUOTE]
    return bool(np.isin(before, borders).all() and np.isin(after, borders).all())


def filled_rows(data: bytes, layout: Layout, delimiter: str) -> npt.NDArray[np.bool_]:
    """Which rows are more than a blank line."""
    filled: npt.NDArray[np.bool_] = np.ones(len(layout.ends), dtype=bool)
    narrow = np.flatnonzero(layout.widths == 1)
    for row in narrow[layout.starts[narrow] == layout.ends[narrow]]:
        filled[row] = False
    for row in np.flatnonzero(filled & (layout.widths == 1)):
        cells = rows_at(data, layout, np.array([row]), delimiter)
        filled[row] = any(is_filled(found) for found in cells)
    return filled


def have_empty_ends(data: bytes, layout: Layout, rows: Array, width: int, delimiter: str) -> bool:
    """Whether some rows have an empty cell too many, as where a line ends in a delimiter."""
    longer = rows[layout.widths[rows] == width + 1]
    return len(longer) > MANY or any(
        not cells[-1].strip() for cells in rows_at(data, layout, longer, delimiter)
    )


def rows_at(data: bytes, layout: Layout, rows: Array, delimiter: str) -> list[list[str]]:
    """The cells of some rows, one after the other."""
    lines = (f"{line}\n" for row in rows for line in lines_at(data, layout, row))
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    with cells_of_any_length(len(data)):
        return list(islice(reader, len(rows)))


def lines_at(data: bytes, layout: Layout, row: int) -> list[str]:
    """The lines of one row."""
    return data[layout.starts[row] : layout.ends[row]].decode().split("\n")


def cells_at(
    data: bytes, layout: Layout, rows: Array, header: Sequence[str], delimiter: str
) -> pl.DataFrame | None:
    """A frame of the cells of some rows; None if Polars does not find as many as there are."""
    if not len(rows):
        return columns_of([], header)
    breaks = np.flatnonzero(np.diff(rows) > 1) + 1  # between runs of rows that lie together
    runs = zip(
        layout.starts[rows[np.concatenate([[0], breaks])]],
        layout.ends[rows[np.concatenate([breaks - 1, [len(rows) - 1]])]] + 1,
        strict=True,
    )
    view = memoryview(data)
    chosen = b"".join(view[start:end] for start, end in runs)
    if chosen.startswith(codecs.BOM_UTF8):  # Polars would leave it out
        return None
    frame = pl.read_csv(
        chosen,
        has_header=False,
        separator=delimiter,
        quote_char='"' if layout.quoted else None,
        infer_schema=False,
    )
    if frame.shape != (len(rows), len(header)):
        return None
    cells = pl.all().fill_null("")
    if layout.spaced:
        cells = cells.str.strip_chars_start(" ")
    return frame.select(cells).rename(dict(zip(frame.columns, header, strict=True)))
