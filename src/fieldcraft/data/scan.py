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
    Head,
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
BLOCK = 1 << 20
NEWLINE, QUOTE, BLANK = ord("\n"), ord('"'), ord(" ")


@dataclass(frozen=True)
class Layout:
    """Where rows lie in a text.

    Args:
        data: the text in UTF-8; it ends in a newline.
        delimiter: what cells are delimited by.
        starts, ends: of each row; its newline is at its end.
        widths: cells of each row.
        lines: the line on which each row ends, counted from 1.
        before: lines of the whole text that stand before this one.
        quoted: whether there are quotation marks.
        spaced: whether a cell begins with a blank.
    """

    data: bytes
    delimiter: str
    starts: Array
    ends: Array
    widths: Array
    lines: Array
    quoted: bool
    spaced: bool
    before: int = 0

    @property
    def heights(self) -> Array:
        """Lines that each row takes."""
        return np.diff(self.lines, prepend=self.before)

    def lines_of(self, row: int) -> list[str]:
        """The lines of one row."""
        return self.data[self.starts[row] : self.ends[row]].decode().split("\n")

    def cells_of(self, rows: Array) -> list[list[str]]:
        """The cells of some rows, one after the other."""
        lines = (f"{line}\n" for row in rows for line in self.lines_of(row))
        reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True)
        with cells_of_any_length():
            return list(islice(reader, len(rows)))


def cut_quickly(
    text: str,
    dialect: Dialect,
    names: Sequence[str] = (),
    head: Head | None = None,
    before: int = 0,
) -> Cut | None:
    """Cut a text of at least two columns as `cut_carefully` does; None where that is not sure.

    Args:
        text: lines that end in ``\\n``.
        dialect: how the text is written.
        names: column names, for a text without a header.
        head: what is known of the columns already, as of a text that is cut in parts.
        before: lines of the whole text that stand before these.

    Raises:
        DataError: the names do not fit.
    """
    delimiter = dialect.delimiter
    if not delimiter.isascii() or delimiter in ("", " ") or "\0" in text:
        return None
    layout = lay_out(text if text.endswith("\n") else text + "\n", delimiter, before)
    if layout is None or (layout.quoted and layout.spaced):
        return None
    rows = filled_rows(layout)
    head = head or header_of(layout.cells_of(rows[:FIRST]), dialect, names)
    for row in rows[: head.rows]:
        refuse_torn_header(layout.lines_of(row), int(layout.lines[row]), delimiter)
    rows, width = rows[head.rows :], len(head.names)
    if width < 2 or have_empty_ends(layout, rows, width):
        return None
    odd = odd_rows(layout, rows, delimiter, width)
    kept = rows[~np.isin(rows, list(odd))] if odd else rows
    frame = frame_of(layout, kept, head.names)
    return None if frame is None else Cut(frame, tuple(odd.values()), head.nameless)


def odd_rows(layout: Layout, rows: Array, delimiter: str, width: int) -> dict[int, Odd]:
    """What is wrong with rows of another width, or of several lines, by number of the row."""
    found = {}
    for row in rows[(layout.widths[rows] != width) | (layout.heights[rows] > 1)]:
        line, cells = int(layout.lines[row]), int(layout.widths[row])
        judged = odd_row(layout.lines_of(row), line, cells, delimiter, width)
        if judged:
            found[row] = judged
    return found


def lay_out(text: str, delimiter: str, before: int = 0) -> Layout | None:
    """Where the rows lie; None if a quotation mark stands where CSV does not have one.

    Args:
        text: lines that end in ``\\n``.
        delimiter: what cells are delimited by.
        before: lines of the whole text that stand before these.
    """
    data = text.encode()
    codes = np.frombuffer(data, np.uint8)
    newlines = positions(codes, NEWLINE)
    marks = positions(codes, ord(delimiter))
    quotes = positions(codes, QUOTE) if '"' in text else np.array([], dtype=np.int64)
    ends = newlines
    if len(quotes):
        if not are_regular(codes, quotes, ord(delimiter)):
            return None
        # Within a quoted cell the number of marks before it is odd.
        ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        marks = marks[np.searchsorted(quotes, marks) % 2 == 0]
    starts = np.concatenate([[0], ends[:-1] + 1])
    # The first look is quick, but within quotes a blank may follow a mark all the same.
    spaced = any(at in text for at in (f"{delimiter} ", "\n ")) or text.startswith(" ")
    if spaced:
        spaced = bool((codes[starts] == BLANK).any() or (codes[marks + 1] == BLANK).any())
    widths = np.diff(np.searchsorted(marks, ends), prepend=0) + 1
    lines = np.searchsorted(newlines, ends) + 1 + before
    return Layout(data, delimiter, starts, ends, widths, lines, bool(len(quotes)), spaced, before)


def positions(codes: Array, code: int) -> Array:
    """Where a code stands; looked for block by block, for memory that is new is slow."""
    found = [
        start + np.flatnonzero(codes[start : start + BLOCK] == code)
        for start in range(0, len(codes), BLOCK)
    ]
    return np.concatenate(found)


def are_regular(codes: Array, quotes: Array, delimiter: int) -> bool:
    """Whether every quoted cell is quoted as a whole, and marks within it are doubled."""
    if len(quotes) % 2:
        return False
    opening, closing = quotes[0::2], quotes[1::2]
    before, after = codes[opening - 1], codes[closing + 1]  # before the first byte: a newline
    borders = [delimiter, NEWLINE, QUOTE]
    return bool(np.isin(before, borders).all() and np.isin(after, borders).all())


def filled_rows(layout: Layout) -> Array:
    """The numbers of the rows that are more than a blank line."""
    filled = (layout.widths > 1) | (layout.starts < layout.ends)
    for row in np.flatnonzero(filled & (layout.widths == 1)):
        filled[row] = any(is_filled(cells) for cells in layout.cells_of(np.array([row])))
    return np.flatnonzero(filled)


def have_empty_ends(layout: Layout, rows: Array, width: int) -> bool:
    """Whether some rows have an empty cell too many, as where a line ends in a delimiter."""
    longer = rows[layout.widths[rows] == width + 1]
    if len(longer) > MANY:
        return True
    return any(not cells[-1].strip() for cells in layout.cells_of(longer))


def frame_of(layout: Layout, rows: Array, header: Sequence[str]) -> pl.DataFrame | None:
    """A frame of the cells of some rows; None if Polars does not find as many as there are."""
    if not len(rows):
        return columns_of([], header)
    breaks = np.flatnonzero(np.diff(rows) > 1)  # rows after which one is left out
    starts = layout.starts[rows[np.append(0, breaks + 1)]]
    ends = layout.ends[rows[np.append(breaks, len(rows) - 1)]] + 1
    view = memoryview(layout.data)
    chosen = b"".join(view[start:end] for start, end in zip(starts, ends, strict=True))
    if chosen.startswith(codecs.BOM_UTF8):  # Polars would leave it out
        return None
    frame = pl.read_csv(
        chosen,
        has_header=False,
        separator=layout.delimiter,
        quote_char='"' if layout.quoted else None,
        infer_schema=False,
    )
    if frame.shape != (len(rows), len(header)):
        return None
    cells = pl.all().fill_null("")
    if layout.spaced:
        cells = cells.str.strip_chars_start(" ")
    return frame.select(cells).rename(dict(zip(frame.columns, header, strict=True)))
