"""Detect the dialect of delimited text: the delimiter, and whether there is a header."""

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
SAMPLE_LINES = 20  # at least this many, however long they are
SAMPLE_ROWS = 200
MIN_MODAL_FRACTION = 0.9  # of rows with the same width, for a delimiter to be certain
NUMBER_PATTERN = re.compile(r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$")
SEP_DECLARATION_PATTERN = re.compile(r'"?sep=(.)"?\n')  # sets the delimiter in Excel
MAX_CELL_CHARS = 2**31 - 1  # the largest limit that the csv module accepts on all systems
FIELD_SIZE_LIMITS: list[int] = []  # the original limit, then one for each active reader
FIELD_SIZE_LOCK = Lock()
MAX_NAME_WORDS = 4  # of the name of a single column; a longer first line is data


@dataclass(frozen=True)
class CsvDialect:
    """The dialect of a delimited text file; without a delimiter each line is one cell."""

    delimiter: str = ","
    has_header: bool = True
    encoding: str = "utf-8"


def read_sample_rows(text: str, delimiter: str, max_rows: int = SAMPLE_ROWS) -> list[list[str]]:
    """Return the first rows of a text, split at a delimiter, without blank lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    with unlimited_cell_length():
        nonblank_rows = (row for row in reader if any(cell.strip() for cell in row))
        return list(islice(nonblank_rows, max_rows))


@contextmanager
def unlimited_cell_length() -> Iterator[None]:
    """Lift the csv module's limit of 131,072 characters per cell while the block runs.

    The limit is global to the process, so the last of several threads restores it.
    """
    # The first reader saves the original limit; blocks are read in several threads.
    with FIELD_SIZE_LOCK:
        if not FIELD_SIZE_LIMITS:
            FIELD_SIZE_LIMITS.append(csv.field_size_limit(MAX_CELL_CHARS))
        FIELD_SIZE_LIMITS.append(MAX_CELL_CHARS)
    try:
        yield
    finally:
        with FIELD_SIZE_LOCK:
            FIELD_SIZE_LIMITS.pop()
            if len(FIELD_SIZE_LIMITS) == 1:
                csv.field_size_limit(FIELD_SIZE_LIMITS.pop())


def detect_delimiter(text: str) -> str:
    """Return the delimiter that splits a sample into the most columns with the fewest odd rows.

    It is empty for a single column, whose cells may contain any of the delimiters.
    """
    lines = [line for line in text.split("\n") if line.strip()][:SAMPLE_ROWS]
    csv_widths = {
        delimiter: [len(row) for row in read_sample_rows(text, delimiter)]
        for delimiter in DELIMITERS
    }
    line_widths = {
        delimiter: [line.count(delimiter) + 1 for line in lines] for delimiter in DELIMITERS
    }
    if all(width == 1 for widths in csv_widths.values() for width in widths):
        return ","  # delimiters, if any, are inside quotes
    # A stray quote makes the rows uneven but not the lines, so lines are the second criterion.
    best = max(
        DELIMITERS,
        key=lambda mark: (delimiter_score(csv_widths[mark]), delimiter_score(line_widths[mark])),
    )
    modal_fraction = max(
        modal_width_fraction(csv_widths[best]), modal_width_fraction(line_widths[best])
    )
    modal_width = Counter(csv_widths[best]).most_common(1)[0][0]
    return "" if is_single_column(lines, modal_fraction, modal_width) else best


def delimiter_score(widths: Sequence[int]) -> float:
    """Score a delimiter by the fraction of rows with the modal width, and by that width."""
    if not widths:
        return 0.0
    width, count = Counter(widths).most_common(1)[0]
    # The fraction is squared and the width enters by its square root, so that commas in half of the
    # cells do not win against semicolons that split all rows evenly.
    return float((width > 1) * (count / len(widths)) ** 2 * (1 + width) ** 0.5)


def modal_width_fraction(widths: Iterable[int]) -> float:
    """Return the fraction of rows with the modal width above 1, from the first such row on."""
    # Titles and comments above the table have one cell and do not count.
    body = list(dropwhile(lambda width: width == 1, widths))
    wide_counts = Counter(width for width in body if width > 1)
    return wide_counts.most_common(1)[0][1] / len(body) if wide_counts else 0.0


def is_single_column(lines: Sequence[str], modal_fraction: float, width: int) -> bool:
    """Return whether the lines are a single column whose cells contain the delimiters.

    Args:
        lines: lines that are not blank.
        modal_fraction: fraction of the rows that the best delimiter splits to the modal width.
        width: the modal width with that delimiter.
    """
    following_characters = [
        delimiter for line in lines for delimiter in re.findall(r"[,;\t|](?=(.?))", line, re.DOTALL)
    ]
    # In prose nearly every comma is followed by a blank, in tables hardly any is.
    is_prose = sum(
        not character.strip() for character in following_characters
    ) >= MIN_MODAL_FRACTION * len(following_characters)
    has_plain_name = not any(delimiter in lines[0] for delimiter in DELIMITERS)
    if modal_fraction >= MIN_MODAL_FRACTION:
        are_numbers = all(looks_numeric(line) for line in lines[1:])
        return has_plain_name and (is_prose or are_numbers)
    return has_plain_name or (is_prose and (modal_fraction < 0.5 or width <= 3))


def looks_numeric(cell: str) -> bool:
    """Return whether a cell is a number, with a point or a comma as the decimal mark."""
    return bool(NUMBER_PATTERN.match(cell.strip()))


def has_header(rows: list[list[str]]) -> bool:
    """Return whether the first row is a header rather than data.

    Numeric columns vote: a word above one is a name, a number is a value. Without numeric
    columns, a first row most of whose cells occur again further down is data.
    """
    if len(rows) < 2:
        return True
    first, rest = rows[0], rows[1:]
    n_names = n_values = n_repeated = 0
    for position, cell in enumerate(map(str.strip, first)):
        column = [row[position].strip() for row in rest if position < len(row)]
        nonblank_values = [value for value in column if value]
        if nonblank_values and sum(map(looks_numeric, nonblank_values)) > 0.6 * len(
            nonblank_values
        ):
            n_values += looks_numeric(cell)
            n_names += bool(cell) and not looks_numeric(cell)
        else:
            n_repeated += cell in nonblank_values
    # Ties count as a header: most files have one, and numbers may be missing in the first row.
    if n_names or n_values:
        return n_names >= n_values
    return n_repeated * 2 <= len(first)


def is_header_line(lines: list[str]) -> bool:
    """Return whether the first line of a single column is its name."""
    first = lines[0]
    has_no_delimiter = not any(delimiter in first for delimiter in DELIMITERS)
    return (
        has_no_delimiter
        and len(first.split()) <= MAX_NAME_WORDS
        and has_header([[line] for line in lines])
    )


def take_sample(text: str) -> str:
    """Return the beginning of a text, up to the end of a line."""
    end = SAMPLE_CHARS
    if len(text) <= end:
        return text
    if text.count("\n", 0, end) < SAMPLE_LINES:  # a wide table
        for _ in range(SAMPLE_LINES):
            end = text.find("\n", end + 1)
            if end < 0:
                return text
    return text[:end].rpartition("\n")[0]


def detect_dialect(text: str) -> CsvDialect:
    """Detect the dialect of a text from its first rows.

    >>> detect_dialect("a;b\\n1,5;x\\n2,5;y\\n")
    CsvDialect(delimiter=';', has_header=True, encoding='utf-8')
    """
    sample = take_sample(text)
    if declaration := SEP_DECLARATION_PATTERN.match(sample):
        sample = sample[declaration.end() :]
    delimiter = declaration[1] if declaration else detect_delimiter(sample)
    if delimiter:
        return CsvDialect(delimiter, has_header(read_sample_rows(sample, delimiter)))
    lines = [line for line in sample.split("\n") if line.strip()][:SAMPLE_ROWS]
    return CsvDialect("", is_header_line(lines))
