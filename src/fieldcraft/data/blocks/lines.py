"""Delimited text in blocks of whole rows: the same cells as if it were read at once.

A block ends where a row does. Quotation marks tell that by their number where all of them stand
as CSV has them; from a block on where one does not, the csv module finds the next end. Where the
beginning of a file cannot tell how all of it is written, the file is one block.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.words import plural
from fieldcraft.data.blocks.shape import Piece, Reject, Wish
from fieldcraft.data.blocks.spool import coding_of, decoded, with_plain_ends
from fieldcraft.data.cut import FIRST, Cut, Head, Odd, cut_carefully, header_of, is_filled
from fieldcraft.data.scan import NEWLINE, QUOTE, are_regular, cut_quickly, positions
from fieldcraft.data.sniff import (
    DECLARED,
    SAMPLE_CHARS,
    SAMPLE_LINES,
    Dialect,
    cells_of_any_length,
    sniff,
)
from fieldcraft.data.text import without_empty_end

HEAD = 4 * SAMPLE_CHARS  # bytes that are looked at to tell how a file is written
STEP = 1 << 16  # bytes read at a time where a row is longer than a block


@dataclass(frozen=True)
class Span:
    """Where a block lies in a file: from byte to byte, lines before it, and its last line."""

    start: int
    end: int
    before: int
    after: int = 0


@dataclass(frozen=True)
class Lines:
    """A delimited text file in blocks.

    Attributes:
        path: of the file, unpacked and not in UTF-16.
        name: what it is called in messages.
        wish: how it is to be read.
        coding: how bytes become text.
        dialect: how the text is written.
        head: the columns; None where only the whole file can tell.
        spans: where the blocks lie.
    """

    path: Path
    name: str
    wish: Wish
    coding: str
    dialect: Dialect
    head: Head | None
    spans: tuple[Span, ...] = field(repr=False)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        if self.head is None:
            return tuple(self.cut(0).frame.columns)
        return tuple(self.head.names[: len(self.head.names) - self.head.nameless])

    @property
    def weights(self) -> tuple[int, ...]:
        """Bytes of each block."""
        return tuple(span.end - span.start for span in self.spans)

    def read(self, number: int) -> Piece:
        """The rows of a block as text cells.

        Raises:
            DataError: a quotation mark is never closed, or the names do not fit.
        """
        cut = self.cut(number)
        kept = cut.frame.select(self.wish.kept(cut.frame.columns))
        if not cut.odd:
            return Piece(kept)
        lines = self.text(number).split("\n")
        before = self.spans[number].before
        return Piece(
            kept,
            tuple(
                Reject(
                    odd.line,
                    odd.lines,
                    reason_of(odd, cut.frame.width),
                    "\n".join(lines[odd.line - odd.lines - before : odd.line - before]),
                )
                for odd in cut.odd
            ),
        )

    def cut(self, number: int) -> Cut:
        """A block cut into columns, those without a name and a cell at the end left out."""
        text, span, head = self.text(number), self.spans[number], self.head
        if len(self.spans) == 1 and (not text or text.isspace()):
            return Cut(pl.DataFrame())
        if head and number:
            head = replace(head, rows=0)
        given = (text, self.dialect, self.wish.names, head, span.before)
        with named(self.name):
            cut = cut_quickly(*given) or cut_carefully(*given)
        if head is None:
            return replace(cut, frame=without_empty_end(cut))
        return replace(cut, frame=cut.frame[:, : cut.frame.width - head.nameless])

    def text(self, number: int) -> str:
        """The text of a block; where the file says how it is delimited, without that."""
        span = self.spans[number]
        with self.path.open("rb") as stream:
            stream.seek(span.start)
            data = stream.read(span.end - span.start)
        text = with_plain_ends(decoded(data, self.coding, not span.start))
        declared = None if span.start else DECLARED.match(text)
        return "\n" + text[declared.end() :] if declared else text


@contextmanager
def named(name: str) -> Iterator[None]:
    """Let errors say which file they are about."""
    try:
        yield
    except DataError as error:
        what = f"{name}: {error.what}"
        raise DataError(what, seen=error.seen, way_out=error.way_out) from error


def reason_of(odd: Odd, width: int) -> str:
    """What is wrong with lines that are no row."""
    if odd.why == "width":
        return f"{plural(odd.width, 'cell')} in place of {width}"
    return "NUL characters" if odd.why == "nul" else "a stray quotation mark seems to join lines"


def in_lines(path: Path, name: str, wish: Wish) -> Lines:
    """A delimited text file in blocks of whole rows.

    Args:
        path: of the file, unpacked and not in UTF-16.
        name: what it is called in messages.
        wish: how it is to be read.

    Raises:
        DataError: the names do not fit.
    """
    coding, size = coding_of(path), path.stat().st_size
    with path.open("rb") as stream:
        sample = stream.read(HEAD)
    if len(sample) < size:
        sample = sample[: sample.rfind(b"\n") + 1]
    text = with_plain_ends(decoded(sample, coding, True))
    dialect = Dialect() if not text or text.isspace() else sniff(text)
    with named(name):
        found = head_of(text, dialect, wish.names, whole=len(sample) == size)
    one = Lines(path, name, wish, coding, dialect, None, (Span(0, size, 0),))
    if found is None or not can_be_cut(dialect, found[0], wish):
        return one
    head, least = found
    delimiter = dialect.delimiter
    spans = tuple(spans_of(path, size, max(wish.size, 1), least, delimiter))
    return replace(one, head=head, spans=spans)


def can_be_cut(dialect: Dialect, head: Head, wish: Wish) -> bool:
    """Whether blocks are sure to give what the whole file does."""
    nameless = head.names[len(head.names) - head.nameless :]
    known = wish.wanted is not None and not wish.wanted.intersection(nameless)
    return dialect.delimiter.isascii() and (not nameless or known)


def head_of(
    text: str, dialect: Dialect, names: Sequence[str], whole: bool
) -> tuple[Head, int] | None:
    """The columns, and how many bytes the rows above the data take at most.

    None where the beginning of a file cannot tell what all of it would.

    Args:
        text: the beginning of the file, or all of it.
        dialect: how it is written.
        names: column names, for a file without a header.
        whole: whether it is all of it.
    """
    if declared := DECLARED.match(text):
        text = "\n" + text[declared.end() :]
    told = len(text) > SAMPLE_CHARS and text.count("\n", 0, SAMPLE_CHARS) > SAMPLE_LINES
    if not (whole or told) or not text.strip():
        return None
    lines = text.split("\n")
    rows = first_rows(lines, dialect.delimiter)
    if len(rows) < FIRST and not whole:
        return None
    head = header_of([cells for cells, _ in rows], dialect, names)
    last = rows[head.rows - 1][1] if head.rows else 0
    above = lines[:last]
    declaration = len(declared[0]) if declared else 0
    return head, sum(4 * len(line) + 2 for line in above) + declaration + 2


def first_rows(lines: Sequence[str], delimiter: str) -> list[tuple[list[str], int]]:
    """The first rows that are not blank, each with the number of the line it ends on."""
    if not delimiter:
        filled = ((line, n) for n, line in enumerate(lines, 1) if line.strip())
        return [([line], number) for line, number in islice(filled, FIRST)]
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
    with cells_of_any_length():
        return [
            (row, line)
            for row, line in islice(((r, reader.line_num) for r in reader if is_filled(r)), FIRST)
        ]


def spans_of(path: Path, size: int, most: int, least: int, delimiter: str) -> Iterator[Span]:
    """Blocks of whole rows, each the shortest that is long enough.

    Args:
        path: of the file.
        size: of the file.
        most: bytes that a block has at least.
        least: bytes that the first block has at least, so that it holds the rows above the data.
        delimiter: what cells are delimited by; empty where each line is a row.
    """
    start = before = 0
    with path.open("rb") as stream:
        while start < size or not start:
            wanted = max(most, 0 if start else least)
            data = block_at(stream, start, wanted, delimiter)
            yield Span(start, start + len(data), before)
            if not data:
                return
            start += len(data)
            before += lines_in(data)


def lines_in(data: bytes) -> int:
    """How many lines end in some bytes, in whichever way."""
    found = data.count(b"\n")
    return found + data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else found


def block_at(stream: BinaryIO, start: int, wanted: int, delimiter: str) -> bytes:
    """The bytes from a place on to the first end of a row that makes them enough."""
    stream.seek(start)
    data = stream.read(wanted)
    while (end := end_of_row(data, wanted, bool(delimiter))) is None:
        more = stream.read(max(STEP, len(data)))
        if not more:
            end = len(data)
            break
        data += more
    data = data[:end]
    if delimiter and b'"' in data and not is_regular(data, delimiter):
        return careful_block(stream, start, wanted, delimiter)
    return data


def end_of_row(data: bytes, wanted: int, quotes: bool) -> int | None:
    """Where the first row ends that ends after so many bytes; None if none does."""
    quotes = quotes and b'"' in data  # which is far quicker than to count them
    marks = data.count(b'"', 0, wanted - 1) if quotes else 0
    place = wanted - 1
    while (newline := data.find(b"\n", place)) >= 0:
        marks += data.count(b'"', place, newline) if quotes else 0
        if marks % 2 == 0:
            return newline + 1
        place = newline + 1
    return None


def is_regular(data: bytes, delimiter: str) -> bool:
    """Whether every quoted cell is quoted as a whole, and marks within it are doubled."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    codes = np.frombuffer(data if data.endswith(b"\n") else data + b"\n", np.uint8)
    assert codes[-1] == NEWLINE
    return are_regular(codes, positions(codes, QUOTE), ord(delimiter))


def careful_block(stream: BinaryIO, start: int, wanted: int, delimiter: str) -> bytes:
    """The same by the csv module, for text with stray quotation marks."""
    stream.seek(start)
    place, whole = start, True  # where the last line that was read ends, and whether all of it was

    def lines() -> Iterator[str]:
        nonlocal place, whole
        for raw in stream:
            place += len(raw)
            *parts, last = with_plain_ends(raw.decode("latin-1")).removesuffix("\n").split("\n")
            whole = False
            yield from (f"{part}\n" for part in parts)
            whole = True
            yield f"{last}\n"

    with cells_of_any_length():
        for _ in csv.reader(lines(), delimiter=delimiter, skipinitialspace=True):
            if whole and place - start >= wanted:
                break
    stream.seek(start)
    return stream.read(place - start)
