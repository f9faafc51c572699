"""Delimited text in blocks of whole rows, with the same cells as if it were read at once.

A newline ends a row if the number of quotes before it is even, provided that all quotes follow the
rules of CSV; in a block where one does not, the csv module finds the end of the row. If the start
of a file does not determine its dialect and columns, the whole file is one block.
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
    find_positions,
    is_quoting_regular,
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

SAMPLE_BYTES = 4 * SAMPLE_CHARS  # a character has at most four bytes in UTF-8
MIN_READ_BYTES = 1 << 16  # read at a time if a row is longer than a block


@dataclass(frozen=True)
class ByteRange:
    """The bytes of a block in a file, the number of lines before it, and its last line."""

    start: int
    end: int
    lines_before: int
    last_line: int = 0


@dataclass(frozen=True)
class CsvBlocks:
    """A delimited text file in blocks.

    Attributes:
        path: path of the file, decompressed and not UTF-16.
        name: name of the file in messages.
        options: columns and size of blocks.
        encoding: encoding for `decode_lines`.
        dialect: delimiter and header of the text.
        header: the columns; None if only the whole file determines them.
        ranges: byte ranges of the blocks.
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
        """Names of all columns."""
        if self.header is None:
            return tuple(self.parse_block(0).frame.columns)
        return tuple(self.header.names[: len(self.header.names) - self.header.n_unnamed])

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of bytes of each block."""
        return tuple(byte_range.end - byte_range.start for byte_range in self.ranges)

    def read_block(self, number: int) -> Block:
        """Return the rows of a block as text cells.

        Raises:
            DataError: a quote is never closed, or the names do not fit.
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
        """Parse a block, without columns at the end that have neither a name nor a value."""
        text, byte_range, header = self.block_text(number), self.ranges[number], self.header
        if len(self.ranges) == 1 and (not text or text.isspace()):
            return ParsedTable(pl.DataFrame())
        if header and number:
            header = replace(header, n_rows=0)  # only the first block has the header row
        arguments = (text, self.dialect, self.options.column_names, header, byte_range.lines_before)
        with prefix_errors(self.name):
            parsed = parse_csv_fast(*arguments) or parse_csv_strict(*arguments)
        if header is None:
            return replace(parsed, frame=drop_empty_trailing_columns(parsed))
        return replace(parsed, frame=parsed.frame[:, : parsed.frame.width - header.n_unnamed])

    def block_text(self, number: int) -> str:
        """Return the text of a block, without a declaration of the delimiter."""
        byte_range = self.ranges[number]
        with self.path.open("rb") as stream:
            stream.seek(byte_range.start)
            data = stream.read(byte_range.end - byte_range.start)
        text = normalize_newlines(decode_lines(data, self.encoding, not byte_range.start))
        declaration = None if byte_range.start else SEP_DECLARATION_PATTERN.match(text)
        return "\n" + text[declaration.end() :] if declaration else text


@contextmanager
def prefix_errors(name: str) -> Iterator[None]:
    """Put the name of the file before the text of errors."""
    try:
        yield
    except DataError as error:
        what = f"{name}: {error.what}"
        raise DataError(what, detail=error.detail, hint=error.hint) from error


def describe_malformed_row(row: MalformedRow, width: int) -> str:
    """Return what is wrong with a malformed row."""
    if row.fault == "width":
        return f"{pluralize(row.n_cells, 'cell')} instead of {width}"
    return "NUL characters" if row.fault == "nul" else "a stray quotation mark seems to join lines"


def open_csv_blocks(path: Path, name: str, options: ReadOptions) -> CsvBlocks:
    """Open a delimited text file in blocks of whole rows.

    Args:
        path: path of the file, decompressed and not UTF-16.
        name: name of the file in messages.
        options: columns and size of blocks.

    Raises:
        DataError: the names do not fit.
    """
    encoding, size = detect_file_encoding(path), path.stat().st_size
    with path.open("rb") as stream:
        sample = stream.read(SAMPLE_BYTES)
    # Whole lines only: a cut-off last line would look like a malformed row.
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
    """Return whether blocks are certain to give the same cells as the whole file."""
    # Whether a column without a name is dropped depends on its cells in the whole file.
    unnamed_columns = header.names[len(header.names) - header.n_unnamed :]
    is_any_selected = options.columns is None or bool(options.columns.intersection(unnamed_columns))
    return dialect.delimiter.isascii() and not (unnamed_columns and is_any_selected)


def detect_header(
    text: str, dialect: CsvDialect, names: Sequence[str], is_whole_file: bool
) -> tuple[Header, int] | None:
    """Return the columns, and an upper bound of the bytes of the rows above the data.

    None if the start of a file does not determine what the whole file would.

    Args:
        text: the start of the file, or all of it.
        dialect: delimiter and header of the text.
        names: column names, for a file without a header.
        is_whole_file: whether the text is the whole file.
    """
    if sep_line := SEP_DECLARATION_PATTERN.match(text):
        text = "\n" + text[sep_line.end() :]
    # More than the sample of `detect_dialect`, so the rest of the file cannot change its result.
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
    # At most four bytes per character and two for the newline, whatever the encoding.
    return header, sum(4 * len(line) + 2 for line in lines_above) + declaration_bytes + 2


def read_first_rows(lines: Sequence[str], delimiter: str) -> list[tuple[list[str], int]]:
    """Return the first rows that are not blank, each with the number of its last line."""
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
    """Yield blocks of whole rows, each the shortest of at least the given size.

    Args:
        path: path of the file.
        size: size of the file in bytes.
        min_bytes: minimum size of a block.
        min_first_bytes: minimum size of the first block, so that it has all rows above the data.
        delimiter: the delimiter of cells; empty if each line is a row.
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
    """Count the newlines in bytes, of any system."""
    count = data.count(b"\n")
    return count + data.count(b"\r") - data.count(b"\r\n") if b"\r" in data else count


def read_rows_at(stream: BinaryIO, start: int, min_bytes: int, delimiter: str) -> bytes:
    """Read from an offset to the first end of a row after the given number of bytes."""
    stream.seek(start)
    data = stream.read(min_bytes)
    while (end := find_row_end(data, min_bytes, bool(delimiter))) is None:
        # Doubled each time, so that the total work is linear in the length of the row.
        next_bytes = stream.read(max(MIN_READ_BYTES, len(data)))
        if not next_bytes:
            end = len(data)
            break
        data += next_bytes
    data = data[:end]
    if delimiter and b'"' in data and not has_regular_quotes(data, delimiter):
        return read_rows_at_strict(stream, start, min_bytes, delimiter)
    return data


def find_row_end(data: bytes, min_bytes: int, has_quoting: bool) -> int | None:
    """Return the first end of a row after the given number of bytes; None if there is none."""
    has_quoting = has_quoting and b'"' in data  # much faster than counting them
    quote_count = data.count(b'"', 0, min_bytes - 1) if has_quoting else 0
    position = min_bytes - 1
    while (newline := data.find(b"\n", position)) >= 0:
        quote_count += data.count(b'"', position, newline) if has_quoting else 0
        if quote_count % 2 == 0:
            return newline + 1
        position = newline + 1
    return None


def has_regular_quotes(data: bytes, delimiter: str) -> bool:
    """Return whether each quoted cell is quoted as a whole, with quotes inside it doubled."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    codes = np.frombuffer(data if data.endswith(b"\n") else data + b"\n", np.uint8)
    assert codes[-1] == NEWLINE
    return is_quoting_regular(codes, find_positions(codes, QUOTE), ord(delimiter))


def read_rows_at_strict(stream: BinaryIO, start: int, min_bytes: int, delimiter: str) -> bytes:
    """Read as `read_rows_at` does, but with the csv module, for text with stray quotes."""
    stream.seek(start)
    # The end of the last line read, and whether the reader has received all of it: a line of the
    # file has several rows if these end in lone carriage returns.
    position, is_line_complete = start, True

    def iter_lines() -> Iterator[str]:
        nonlocal position, is_line_complete
        for raw in stream:
            position += len(raw)
            # Latin-1 decodes any byte; quotes, delimiters and newlines are ASCII.
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
