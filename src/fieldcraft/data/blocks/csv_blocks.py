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
from fieldcraft.core.formatting import pluralize
from fieldcraft.data.blocks.base import Block, ReadOptions, RejectedLines
from fieldcraft.data.blocks.text_files import decode_lines, detect_file_encoding, normalize_newlines
from fieldcraft.data.csv_fast_path import (
    NEWLINE,
    QUOTE,
    are_quotes_regular,
    find_positions,
    parse_csv_fast,
)
from fieldcraft.data.csv_parser import (
    HEADER_SAMPLE_ROWS,
    Header,
    MalformedRow,
    ParsedTable,
    determine_header,
    is_nonblank_row,
    parse_csv_strict,
)
from fieldcraft.data.csv_reader import drop_empty_trailing_columns
from fieldcraft.data.csv_sniffer import (
    SAMPLE_CHARS,
    SAMPLE_LINES,
    SEP_DECLARATION_PATTERN,
    CsvDialect,
    detect_dialect,
    unlimited_cell_length,
)

SAMPLE_BYTES = 4 * SAMPLE_CHARS  # bytes that are looked at to tell how a file is written
MIN_READ_BYTES = 1 << 16  # bytes read at a time where a row is longer than a block


@dataclass(frozen=True)
class ByteRange:
    """Where a block lies in a file: from byte to byte, lines before it, and its last line."""

    start: int
    end: int
    lines_before: int
    last_line: int = 0


@dataclass(frozen=True)
class CsvBlocks:
    """A delimited text file in blocks.

    Attributes:
        path: of the file, unpacked and not in UTF-16.
        name: what it is called in messages.
        options: how it is to be read.
        encoding: how bytes become text.
        dialect: how the text is written.
        header: the columns; None where only the whole file can tell.
        ranges: where the blocks lie.
    """

    path: Path
    name: str
    options: ReadOptions
    encoding: str
    dialect: CsvDialect
    header: Header | None
    ranges: tuple[ByteRange, ...] = field(repr=False)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        if self.header is None:
            return tuple(self.parse_block(0).frame.columns)
        return tuple(self.header.names[: len(self.header.names) - self.header.n_unnamed])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each block."""
        return tuple(byte_range.end - byte_range.start for byte_range in self.ranges)

    def read_block(self, number: int) -> Block:
        """The rows of a block as text cells.

        Raises:
            DataError: a quotation mark is never closed, or the names do not fit.
        """
        parsed = self.parse_block(number)
        selected = parsed.frame.select(self.options.select(parsed.frame.columns))
        if not parsed.malformed:
            return Block(selected)
        lines = self.block_text(number).split("\n")
        lines_before = self.ranges[number].lines_before
        return Block(
            selected,
            tuple(
                RejectedLines(
                    malformed.last_line,
                    malformed.n_lines,
                    describe_malformed_row(malformed, parsed.frame.width),
                    "\n".join(
                        lines[
                            malformed.last_line
                            - malformed.n_lines
                            - lines_before : malformed.last_line - lines_before
                        ]
                    ),
                )
                for malformed in parsed.malformed
            ),
        )

    def parse_block(self, number: int) -> ParsedTable:
        """A block cut into columns, those without a name and a cell at the end left out."""
        text, byte_range, header = self.block_text(number), self.ranges[number], self.header
        if len(self.ranges) == 1 and (not text or text.isspace()):
            return ParsedTable(pl.DataFrame())
        if header and number:
            header = replace(header, n_rows=0)
        arguments = (text, self.dialect, self.options.column_names, header, byte_range.lines_before)
        with prefix_errors(self.name):
            parsed = parse_csv_fast(*arguments) or parse_csv_strict(*arguments)
        if header is None:
            return replace(parsed, frame=drop_empty_trailing_columns(parsed))
        return replace(parsed, frame=parsed.frame[:, : parsed.frame.width - header.n_unnamed])

    def block_text(self, number: int) -> str:
        """The text of a block; where the file says how it is delimited, without that."""
        byte_range = self.ranges[number]
        with self.path.open("rb") as stream:
            stream.seek(byte_range.start)
            data = stream.read(byte_range.end - byte_range.start)
        text = normalize_newlines(decode_lines(data, self.encoding, not byte_range.start))
        declaration = None if byte_range.start else SEP_DECLARATION_PATTERN.match(text)
        return "\n" + text[declaration.end() :] if declaration else text


@contextmanager
def prefix_errors(name: str) -> Iterator[None]:
    """Let errors say which file they are about."""
    try:
        yield
    except DataError as error:
        what = f"{name}: {error.what}"
        raise DataError(what, detail=error.detail, hint=error.hint) from error


def describe_malformed_row(row: MalformedRow, width: int) -> str:
    """What is wrong with lines that are no row."""
    if row.fault == "width":
        return f"{pluralize(row.n_cells, 'cell')} in place of {width}"
    return "NUL characters" if row.fault == "nul" else "a stray quotation mark seems to join lines"


def open_csv_blocks(path: Path, name: str, options: ReadOptions) -> CsvBlocks:
    """A delimited text file in blocks of whole rows.

    Args:
        path: of the file, unpacked and not in UTF-16.
        name: what it is called in messages.
        options: how it is to be read.

    Raises:
        DataError: the names do not fit.
    """
    encoding, size = detect_file_encoding(path), path.stat().st_size
    with path.open("rb") as stream:
        sample = stream.read(SAMPLE_BYTES)
    if len(sample) < size:
        sample = sample[: sample.rfind(b"\n") + 1]
    text = normalize_newlines(decode_lines(sample, encoding, True))
    dialect = CsvDialect() if not text or text.isspace() else detect_dialect(text)
    with prefix_errors(name):
        header_and_bytes = detect_header(
            text, dialect, options.column_names, is_whole_file=len(sample) == size
        )
    single_block = CsvBlocks(path, name, options, encoding, dialect, None, (ByteRange(0, size, 0),))
    if header_and_bytes is None or not can_split_into_blocks(dialect, header_and_bytes[0], options):
        return single_block
    header, min_first_bytes = header_and_bytes
    delimiter = dialect.delimiter
    ranges = tuple(
        iter_byte_ranges(path, size, max(options.block_bytes, 1), min_first_bytes, delimiter)
    )
    return replace(single_block, header=header, ranges=ranges)


def can_split_into_blocks(dialect: CsvDialect, header: Header, options: ReadOptions) -> bool:
    """Whether blocks are sure to give what the whole file does."""
    unnamed_columns = header.names[len(header.names) - header.n_unnamed :]
    are_unneeded = options.columns is not None and not options.columns.intersection(unnamed_columns)
    return dialect.delimiter.isascii() and (not unnamed_columns or are_unneeded)


def detect_header(
    text: str, dialect: CsvDialect, names: Sequence[str], is_whole_file: bool
) -> tuple[Header, int] | None:
    """The columns, and how many bytes the rows above the data take at most.

    None where the beginning of a file cannot tell what all of it would.

    Args:
        text: the beginning of the file, or all of it.
        dialect: how it is written.
        names: column names, for a file without a header.
        is_whole_file: whether it is all of it.
    """
    if sep_line := SEP_DECLARATION_PATTERN.match(text):
        text = "\n" + text[sep_line.end() :]
    is_enough = len(text) > SAMPLE_CHARS and text.count("\n", 0, SAMPLE_CHARS) > SAMPLE_LINES
    if not (is_whole_file or is_enough) or not text.strip():
        return None
    lines = text.split("\n")
    rows = read_first_rows(lines, dialect.delimiter)
    if len(rows) < HEADER_SAMPLE_ROWS and not is_whole_file:
        return None
    header = determine_header([cells for cells, _ in rows], dialect, names)
    n_lines_above = rows[header.n_rows - 1][1] if header.n_rows else 0
    lines_above = lines[:n_lines_above]
    declaration_bytes = len(sep_line[0]) if sep_line else 0
    return header, sum(4 * len(line) + 2 for line in lines_above) + declaration_bytes + 2


def read_first_rows(lines: Sequence[str], delimiter: str) -> list[tuple[list[str], int]]:
    """The first rows that are not blank, each with the number of the line it ends on."""
    if not delimiter:
        nonblank_lines = ((line, n) for n, line in enumerate(lines, 1) if line.strip())
        return [([line], number) for line, number in islice(nonblank_lines, HEADER_SAMPLE_ROWS)]
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
    with unlimited_cell_length():
        return [
            (row, line)
            for row, line in islice(
                ((r, reader.line_num) for r in reader if is_nonblank_row(r)), HEADER_SAMPLE_ROWS
            )
        ]


def iter_byte_ranges(
    path: Path, size: int, min_bytes: int, min_first_bytes: int, delimiter: str
) -> Iterator[ByteRange]:
    """Blocks of whole rows, each the shortest that is long enough.

    Args:
        path: of the file.
        size: of the file.
        min_bytes: bytes that a block has at least.
        min_first_bytes: bytes that the first block has at least, so that it holds the rows above the data.
        delimiter: what cells are delimited by; empty where each line is a row.
    """
    start = lines_before = 0
    with path.open("rb") as stream:
        while start < size or not start:
            min_block_bytes = max(min_bytes, 0 if start else min_first_bytes)
            data = read_rows_at(stream, start, min_block_bytes, delimiter)
            yield ByteRange(start, start + len(data), lines_before)
            if not data:
                return
            start += len(data)
            lines_before += count_lines(data)


def count_lines(data: bytes) -> int:
    """How many lines end in some bytes, in whichever way."""
    count = data.count(b"\n")
    return count + data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else count


def read_rows_at(stream: BinaryIO, start: int, min_bytes: int, delimiter: str) -> bytes:
    """The bytes from a place on to the first end of a row that makes them enough."""
    stream.seek(start)
    data = stream.read(min_bytes)
    while (end := find_row_end(data, min_bytes, bool(delimiter))) is None:
        more = stream.read(max(MIN_READ_BYTES, len(data)))
        if not more:
            end = len(data)
            break
        data += more
    data = data[:end]
    if delimiter and b'"' in data and not has_regular_quotes(data, delimiter):
        return read_rows_at_strict(stream, start, min_bytes, delimiter)
    return data


def find_row_end(data: bytes, min_bytes: int, has_quoting: bool) -> int | None:
    """Where the first row ends that ends after so many bytes; None if none does."""
    has_quoting = has_quoting and b'"' in data  # which is far quicker than to count them
    quote_count = data.count(b'"', 0, min_bytes - 1) if has_quoting else 0
    position = min_bytes - 1
    while (newline := data.find(b"\n", position)) >= 0:
        quote_count += data.count(b'"', position, newline) if has_quoting else 0
        if quote_count % 2 == 0:
            return newline + 1
        position = newline + 1
    return None


def has_regular_quotes(data: bytes, delimiter: str) -> bool:
    """Whether every quoted cell is quoted as a whole, and marks within it are doubled."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    codes = np.frombuffer(data if data.endswith(b"\n") else data + b"\n", np.uint8)
    assert codes[-1] == NEWLINE
    return are_quotes_regular(codes, find_positions(codes, QUOTE), ord(delimiter))


def read_rows_at_strict(stream: BinaryIO, start: int, min_bytes: int, delimiter: str) -> bytes:
    """The same by the csv module, for text with stray quotation marks."""
    stream.seek(start)
    position, is_line_complete = (
        start,
        True,
    )  # where the last line that was read ends, and whether all of it was

    def iter_lines() -> Iterator[str]:
        nonlocal position, is_line_complete
        for raw in stream:
            position += len(raw)
            *parts, last = normalize_newlines(raw.decode("latin-1")).removesuffix("\n").split("\n")
            is_line_complete = False
            yield from (f"{part}\n" for part in parts)
            is_line_complete = True
            yield f"{last}\n"

    with unlimited_cell_length():
        for _ in csv.reader(iter_lines(), delimiter=delimiter, skipinitialspace=True):
            if is_line_complete and position - start >= min_bytes:
                break
    stream.seek(start)
    return stream.read(position - start)
