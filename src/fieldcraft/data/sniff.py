"""Work out how a delimited text file is written: encoding, delimiter, quotes, header."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

from fieldcraft.core.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_BYTES = 256 * 1024
SAMPLE_ROWS = 200
NUMBER = re.compile(r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$")


@dataclass(frozen=True)
class Dialect:
    """How a delimited text file is written."""

    delimiter: str = ","
    header: bool = True
    encoding: str = "utf-8"


def decode(data: bytes, name: str) -> tuple[str, str]:
    """Text and encoding of a file's bytes: UTF-8, -16 or -32 by their marks, else Windows-1252.

    Raises:
        DataError: the bytes are not text (they hold NUL characters).
    """
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),  # begins like UTF-16, so it is asked first
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, errors="replace"), encoding
    if b"\x00" in data[:SAMPLE_BYTES]:
        raise DataError(
            f"{name} is not a text file",
            seen=f"NUL bytes among the first {SAMPLE_BYTES // 1024} kB",
            way_out="use a CSV, TSV or Parquet file; compressed files end in .gz",
        )
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        # Every byte means something in Latin-1; five of them do not in cp1252.
        try:
            return data.decode("cp1252"), "cp1252"
        except UnicodeDecodeError:
            return data.decode("latin-1"), "latin-1"


def rows_of(text: str, delimiter: str, most: int = SAMPLE_ROWS) -> list[list[str]]:
    """The first rows of a text cut at a delimiter, quotes honoured, blank lines left out."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    found: list[list[str]] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                found.append(row)
            if len(found) == most:
                break
    except csv.Error:
        return found
    return found


def find_delimiter(text: str) -> str:
    """The delimiter that cuts the sample into the most columns with the fewest odd rows."""

    def score(delimiter: str) -> float:
        widths = Counter(len(row) for row in rows_of(text, delimiter))
        if not widths:
            return 0.0
        width, times = widths.most_common(1)[0]
        return float((width > 1) * (times / widths.total()) ** 2 * (1 + width) ** 0.5)

    best = max(DELIMITERS, key=score)
    return best if score(best) > 0 else ","


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


def sniff(text: str) -> Dialect:
    """How a delimited text is written, from its first rows.

    >>> sniff("a;b\\n1,5;x\\n2,5;y\\n")
    Dialect(delimiter=';', header=True, encoding='utf-8')
    """
    sample = text[:SAMPLE_BYTES]
    if len(text) > SAMPLE_BYTES:
        sample = sample.rpartition("\n")[0]
    delimiter = find_delimiter(sample)
    return Dialect(delimiter, find_header(rows_of(sample, delimiter)))
