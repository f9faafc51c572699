"""Cut text into rows and cells: the careful way, which any text can go.

`fieldcraft.data.scan` cuts texts without oddities to the same result, much faster.
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
from fieldcraft.data.sniff import Dialect, cells_of_any_length

END = "\x04"  # end of transmission: a row that no file of text has
FIRST = 100  # rows that tell the width of a table without names
ROWLIKE = 0.9  # share of the lines of a cell that must look like rows to take it for torn


Why = Literal["width", "torn", "nul"]  # too few or many cells, a stray mark, NUL characters


@dataclass(frozen=True)
class Odd:
    """A row that does not fit: the line it ends on, the lines lost with it, its cells, and why."""

    line: int
    lines: int
    width: int
    why: Why

    def __str__(self) -> str:
        """The line, or the lines from first to last."""
        return str(self.line) if self.lines == 1 else f"{self.line - self.lines + 1} to {self.line}"


@dataclass(frozen=True)
class Cut:
    """A text cut into columns of cells, and the rows that had to be left out."""

    frame: pl.DataFrame
    odd: tuple[Odd, ...] = ()
    nameless: int = 0  # columns at the end whose cell in the header is blank

    @property
    def rows(self) -> int:
        """How many rows the text holds, odd ones among them."""
        return self.frame.height + len(self.odd)


@dataclass(frozen=True)
class Head:
    """Column names, the rows above the data, and how many names at the end were blank."""

    names: list[str]
    rows: int = 0
    nameless: int = 0


@dataclass(frozen=True)
class Records:
    """Rows of cells, blank lines left out, with the lines on which each begins and ends."""

    rows: list[list[str]]
    starts: list[int]
    ends: list[int]


def cut_carefully(
    text: str,
    dialect: Dialect,
    names: Sequence[str] = (),
    head: Head | None = None,
    before: int = 0,
) -> Cut:
    """Cut a text by the csv module, row by row.

    Args:
        text: lines that end in ``\\n``.
        dialect: how the text is written.
        names: column names, for a text without a header.
        head: what is known of the columns already, as of a text that is cut in parts.
        before: lines of the whole text that stand before these.

    Raises:
        DataError: the names do not fit, or a quotation mark is never closed.
    """
    lines = text.split("\n")
    found = cut_rows(lines, dialect.delimiter, before) if dialect.delimiter else whole_lines(lines)
    head = head or header_of(found.rows[:FIRST], dialect, names)
    spans = [(start - 1, end) for start, end in zip(found.starts, found.ends, strict=True)]
    for start, end in spans[: head.rows]:
        refuse_torn_header(lines[start:end], before + end, dialect.delimiter)
    width = len(head.names)
    stray = "\0" in text
    kept: list[list[str]] = []
    odd: list[Odd] = []
    for row, (start, end) in zip(found.rows[head.rows :], spans[head.rows :], strict=True):
        cells = row[:-1] if len(row) == width + 1 and not row[-1].strip() else row
        suspect = stray or end - start > 1 or len(cells) != width
        if suspect and (
            fault := odd_row(lines[start:end], before + end, len(cells), dialect.delimiter, width)
        ):
            odd.append(fault)
        else:
            kept.append(cells)
    return Cut(columns_of(kept, head.names), tuple(odd), head.nameless)


def columns_of(rows: Sequence[Sequence[str]], header: Sequence[str]) -> pl.DataFrame:
    """A frame of rows of cells as text."""
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return pl.DataFrame(
        [
            pl.Series(name, cells, dtype=pl.String)
            for name, cells in zip(header, columns, strict=True)
        ]
    )


def whole_lines(lines: Sequence[str]) -> Records:
    """Each line that is not blank as a row of one cell."""
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    return Records([[lines[number - 1]] for number in numbers], numbers, numbers)


def cut_rows(lines: Sequence[str], delimiter: str, before: int = 0) -> Records:
    """Lines cut into rows of cells, quotes honoured.

    Raises:
        DataError: a quotation mark opens a cell and none closes it.
    """
    # A row of our own at the end: if it does not come back, an open quote has swallowed it.
    source = chain((f"{line}\n" for line in lines), [END])
    reader = csv.reader(source, delimiter=delimiter, skipinitialspace=True)
    found = Records([], [], [])
    row: list[str] = []
    previous, last = 0, 0  # lines on which the last two rows end
    with cells_of_any_length():
        for row in reader:
            if is_filled(row):
                found.rows.append(row)
                found.starts.append(last + 1)
                found.ends.append(reader.line_num)
            previous, last = last, reader.line_num
    if row != [END]:
        opened = before + previous + 1
        raise DataError(
            "a quotation mark opens a cell, and none closes it before the file ends",
            seen=f"the row that starts on line {opened:,} swallows all lines after it",
            way_out="close the cell with a second mark; marks within it must be doubled",
        )
    for part in (found.rows, found.starts, found.ends):
        part.pop()
    return found


def is_filled(row: Sequence[str]) -> bool:
    """Whether a row is more than a blank line."""
    return len(row) > 1 or bool(row and row[0].strip())


def odd_row(lines: Sequence[str], last: int, cells: int, delimiter: str, width: int) -> Odd | None:
    """Judge a row that may not fit; None if it is sound.

    Args:
        lines: the lines of the row.
        last: the number of the last of them.
        cells: how many cells the row has.
        delimiter: what cells are delimited by.
        width: how many cells a row should have.
    """
    if any("\0" in line for line in lines):
        return Odd(last, 1, cells, "nul")
    if len(lines) > 1 and is_torn(lines, delimiter, width):
        return Odd(last, len(lines), cells, "torn")
    return Odd(last, 1, cells, "width") if cells != width else None


def is_torn(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Whether a row of several lines is made by a stray quotation mark that swallowed rows.

    That is so if the cell is not closed as it should be, or if the lines are whole rows each.
    """
    try:
        list(csv.reader([f"{line}\n" for line in lines], delimiter=delimiter, strict=True,
                        skipinitialspace=True))  # fmt: skip
    except csv.Error:
        return True
    rowlike = [
        line.count(delimiter) == width - 1 and f"{delimiter} " not in line
        for line in lines
        if line.strip()
    ]
    return width > 1 and sum(rowlike) >= ROWLIKE * len(rowlike)


def refuse_torn_header(lines: Sequence[str], last: int, delimiter: str) -> None:
    """Refuse column names that a stray quotation mark has made of many lines.

    Raises:
        DataError: the lines are torn.
    """
    if len(lines) > 1 and is_torn(lines, delimiter, lines[0].count(delimiter) + 1):
        raise DataError(
            "a quotation mark among the column names swallows rows",
            seen=f"lines {last - len(lines) + 1:,} to {last:,} read as one row of names",
            way_out="take the mark out of that line, or close it with a second one",
        )


def header_of(first: Sequence[list[str]], dialect: Dialect, names: Sequence[str]) -> Head:
    """The names of the columns, from a row of them or as they are given.

    Args:
        first: the first rows of a text.
        dialect: how the text is written.
        names: the names given for a text without a header.

    Raises:
        DataError: the names given do not fit the rows.
    """
    if not first:
        return Head([])
    if names:
        return given_head(first, names)
    if dialect.header:
        top = next((number for number, row in enumerate(first) if "".join(row).strip()), 0)
        nameless = sum(1 for _ in takewhile(lambda cell: not cell.strip(), reversed(first[top])))
        return Head(unique_names(first[top]), top + 1, nameless)
    return Head([f"column_{number}" for number in range(1, usual_width(first) + 1)])


def usual_width(rows: Sequence[list[str]]) -> int:
    """How many cells most rows have."""
    return Counter(len(row) for row in rows).most_common(1)[0][0]


def given_head(first: Sequence[list[str]], names: Sequence[str]) -> Head:
    """The names given for the columns; a first row that repeats them is no row of data.

    Raises:
        DataError: the names do not fit the rows.
    """
    width = usual_width(first)
    last = [row[-1] for row in first if len(row) == width]
    if len(names) == width - 1 and not "".join(last).strip():
        width -= 1  # each line ends in a delimiter
    header = checked_names(names, width)
    given = [name.lower() for name in header]
    return Head(header, int([cell.strip().lower() for cell in first[0]][:width] == given))


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
    found: dict[str, None] = {}
    counts: Counter[str] = Counter()
    for position, cell in enumerate(cells, 1):
        base = cell.strip() or f"column_{position}"
        name = base
        while name in found:
            counts[base] += 1
            name = f"{base}.{counts[base]}"
        found[name] = None
    return list(found)
