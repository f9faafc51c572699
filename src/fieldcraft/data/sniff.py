"""Work out how a delimited text file is written: delimiter, quotes, header."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import dropwhile, islice
from threading import Lock

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_CHARS = 256 * 1024
SAMPLE_LINES = 20  # that a sample holds at least, however long they are
SAMPLE_ROWS = 200
EVEN = 0.9  # share of rows of one width from which a delimiter surely cuts a table
NUMBER = re.compile(r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$")
DECLARED = re.compile(r'"?sep=(.)"?\n')  # how Excel says what it delimits with
LONGEST = 2**31 - 1  # characters of a cell
LIMITS: list[int] = []  # that the csv module had, and has of those who read now
READING = Lock()
NAME_WORDS = 4  # a longer first line of a file of plain lines is data, not a name


@dataclass(frozen=True)
class Dialect:
    """How a delimited text file is written; no delimiter: each line is one cell."""

    delimiter: str = ","
    header: bool = True
    encoding: str = "utf-8"


def rows_of(text: str, delimiter: str, most: int = SAMPLE_ROWS) -> list[list[str]]:
    """The first rows of a text cut at a delimiter, quotes honoured, blank lines left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    with cells_of_any_length():
        filled = (row for row in reader if any(cell.strip() for cell in row))
        return list(islice(filled, most))


@contextmanager
def cells_of_any_length() -> Iterator[None]:
    """Let the csv module read long cells, where it would stop at 131,072 characters.

    The limit is one of the whole process: the last of several threads to end puts it back.
    """
    with READING:
        if not LIMITS:
            LIMITS.append(csv.field_size_limit(LONGEST))
        LIMITS.append(LONGEST)
    try:
        yield
    finally:
        with READING:
            LIMITS.pop()
            if len(LIMITS) == 1:
                csv.field_size_limit(LIMITS.pop())


def find_delimiter(text: str) -> str:
    """The delimiter that cuts a sample into the most columns with the fewest odd rows.

    A text of one column may hold any of them within its cells: then there is no delimiter, and
    the answer is empty.
    """
    lines = [line for line in text.split("\n") if line.strip()][:SAMPLE_ROWS]
    cut = {mark: [len(row) for row in rows_of(text, mark)] for mark in DELIMITERS}
    plain = {mark: [line.count(mark) + 1 for line in lines] for mark in DELIMITERS}
    if all(width == 1 for widths in cut.values() for width in widths):
        return ","  # marks, if any, stand in quotes
    # Where a quotation mark is torn, rows are odd and lines still tell.
    best = max(DELIMITERS, key=lambda mark: (score(cut[mark]), score(plain[mark])))
    share = max(evenness(cut[best]), evenness(plain[best]))
    usual = Counter(cut[best]).most_common(1)[0][0]
    return "" if one_column(lines, share, usual) else best


def score(widths: Sequence[int]) -> float:
    """How well a delimiter cuts: how many rows have the commonest width, and how wide that is."""
    if not widths:
        return 0.0
    width, times = Counter(widths).most_common(1)[0]
    return float((width > 1) * (times / len(widths)) ** 2 * (1 + width) ** 0.5)


def evenness(widths: Iterable[int]) -> float:
    """Share of rows of the commonest width above 1, from the first row on that has one."""
    body = list(dropwhile(lambda width: width == 1, widths))
    wide = Counter(width for width in body if width > 1)
    return wide.most_common(1)[0][1] / len(body) if wide else 0.0


def one_column(lines: Sequence[str], share: float, width: int) -> bool:
    """Whether the delimiters in these lines stand within cells of a single column.

    Args:
        lines: lines that are not blank.
        share: share of the rows that the best delimiter cuts to one width.
        width: cells of most rows that it cuts.
    """
    marks = [mark for line in lines for mark in re.findall(r"[,;\t|](?=(.?))", line, re.DOTALL)]
    prose = sum(not after.strip() for after in marks) >= EVEN * len(marks)
    bare_name = not any(mark in lines[0] for mark in DELIMITERS)
    if share >= EVEN:
        decimals = all(looks_numeric(line) for line in lines[1:])
        return bare_name and (prose or decimals)
    return bare_name or (prose and (share < 0.5 or width <= 3))


def looks_numeric(cell: str) -> bool:
    """Whether a cell holds a number, with a point or a comma as the decimal mark."""
    return bool(NUMBER.match(cell.strip()))


def find_header(rows: list[list[str]]) -> bool:
    """Whether the first row names the columns rather than being data.

    Columns of numbers tell: a word above one is its name, another number is a value. Where no
    column is of numbers, a first row whose cells mostly stand again further down is data.
    """
    if len(rows) < 2:
        return True
    first, rest = rows[0], rows[1:]
    names = values = repeated = 0
    for position, cell in enumerate(map(str.strip, first)):
        column = [row[position].strip() for row in rest if position < len(row)]
        filled = [value for value in column if value]
        if filled and sum(map(looks_numeric, filled)) > 0.6 * len(filled):
            values += looks_numeric(cell)
            names += bool(cell) and not looks_numeric(cell)
        else:
            repeated += cell in filled
    if names or values:
        return names >= values
    return repeated * 2 <= len(first)


def header_line(lines: list[str]) -> bool:
    """Whether the first of some plain lines is the name of the column they make."""
    first = lines[0]
    bare = not any(mark in first for mark in DELIMITERS)
    return bare and len(first.split()) <= NAME_WORDS and find_header([[line] for line in lines])


def sample_of(text: str) -> str:
    """The beginning of a text, up to the end of a line."""
    end = SAMPLE_CHARS
    if len(text) <= end:
        return text
    if text.count("\n", 0, end) < SAMPLE_LINES:  # a wide table
        for _ in range(SAMPLE_LINES):
            end = text.find("\n", end + 1)
            if end < 0:
                return text
    return text[:end].rpartition("\n")[0]


def sniff(text: str) -> Dialect:
    """How a delimited text is written, from its first rows.

    >>> sniff("a;b\\n1,5;x\\n2,5;y\\n")
    Dialect(delimiter=';', header=True, encoding='utf-8')
    """
    sample = sample_of(text)
    if declared := DECLARED.match(sample):
        sample = sample[declared.end() :]
    delimiter = declared[1] if declared else find_delimiter(sample)
    if delimiter:
        return Dialect(delimiter, find_header(rows_of(sample, delimiter)))
    lines = [line for line in sample.split("\n") if line.strip()][:SAMPLE_ROWS]
    return Dialect("", header_line(lines))
