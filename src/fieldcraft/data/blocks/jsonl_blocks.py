"""JSON Lines in blocks: one pass over all lines for the types of fields, then block by block.

The type of a field depends on all of its values: see `dataframes.common_dtype`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.data.blocks.base import Block, ReadOptions, RejectedLines
from fieldcraft.data.blocks.csv_blocks import ByteRange
from fieldcraft.data.blocks.text_files import decode_lines, detect_file_encoding
from fieldcraft.data.csv_parser import validate_names
from fieldcraft.data.dataframes import build_typed_column, common_dtype
from fieldcraft.data.sources.jsonl import parse_record, reject_nested_values


@dataclass(frozen=True)
class JsonLine:
    """A line of a file: its number, its text, and the offset of its end."""

    number: int
    text: str
    end: int


@dataclass
class FieldTypes:
    """The types of the values of a field so far, and the largest absolute integer."""

    types: set[type] = field(default_factory=set)
    max_integer: int = 0

    def observe(self, value: Any) -> None:
        """Add a value."""
        if value is not None:
            self.types.add(type(value))
            if type(value) is int:
                self.max_integer = max(self.max_integer, abs(value))


@dataclass(frozen=True)
class JsonlBlocks:
    """A JSON Lines file in blocks.

    Attributes:
        path: path of the file, decompressed and not UTF-16.
        options: columns and size of blocks.
        encoding: encoding for `decode_lines`.
        dtypes: types of all fields, in the order of their first occurrence.
        columns: column names of the fields.
        ranges: byte ranges of the blocks.
    """

    path: Path
    options: ReadOptions
    encoding: str
    dtypes: Mapping[str, pl.DataType]
    columns: tuple[str, ...]
    ranges: tuple[ByteRange, ...] = field(repr=False)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of bytes of each block."""
        return tuple(byte_range.end - byte_range.start for byte_range in self.ranges)

    def read_block(self, number: int) -> Block:
        """Return the rows of a block; absent fields are missing values."""
        rows, rejects = [], []
        for line in iter_lines(self.path, self.encoding, self.ranges[number]):
            try:
                rows.append(parse_record(line.text))
            except (ValueError, RecursionError) as error:
                rejects.append(
                    RejectedLines(line.number, 1, f"not a record: {error}", line.text.rstrip("\r"))
                )
        selected = set(self.options.select(self.columns))
        columns = [
            build_typed_column(column, [row.get(name) for row in rows], dtype)
            for column, (name, dtype) in zip(self.columns, self.dtypes.items(), strict=True)
            if column in selected
        ]
        return Block(pl.DataFrame(columns), tuple(rejects))


def iter_lines(path: Path, encoding: str, byte_range: ByteRange) -> Iterator[JsonLine]:
    """Yield the lines of a block that are not blank."""
    position = byte_range.start
    with path.open("rb") as stream:
        stream.seek(position)
        for number, raw in enumerate(stream, byte_range.lines_before + 1):
            text = decode_lines(raw, encoding, not position).removesuffix("\n")
            position += len(raw)
            if text.strip():
                yield JsonLine(number, text, position)
            if position >= byte_range.end:
                return


def open_jsonl_blocks(path: Path, name: str, options: ReadOptions) -> JsonlBlocks:
    """Open a JSON Lines file in blocks of whole lines.

    Args:
        path: path of the file, decompressed and not UTF-16.
        name: name of the file in messages.
        options: columns and size of blocks.

    Raises:
        DataError: a value is a list or record, or the names do not fit.
    """
    encoding, size = detect_file_encoding(path), path.stat().st_size
    fields: dict[str, FieldTypes] = {}
    ranges: list[ByteRange] = []
    # One pass over the whole file, since a text value in the last line makes a field text.
    current = ByteRange(0, 0, 0)
    for line in iter_lines(path, encoding, ByteRange(0, size, 0)):
        observe_line(line, fields, name)
        if current.end - current.start >= options.block_bytes:
            ranges.append(current)
            current = ByteRange(current.end, current.end, current.last_line)
        current = ByteRange(current.start, line.end, current.lines_before, line.number)
    # Up to the end of the file: blank lines after the last record belong to the last block.
    ranges.append(replace(current, end=size))
    names = (
        validate_names(options.column_names, len(fields)) if options.column_names else list(fields)
    )
    dtypes = {
        name: common_dtype(field_types.types, field_types.max_integer)
        for name, field_types in fields.items()
    }
    return JsonlBlocks(path, options, encoding, dtypes, tuple(names), tuple(ranges))


def observe_line(line: JsonLine, fields: dict[str, FieldTypes], name: str) -> None:
    """Add the types of the values on a line, if it is a record.

    Raises:
        DataError: a value is a list or a record.
    """
    try:
        row = parse_record(line.text)
    except (ValueError, RecursionError):
        return  # `read_block` rejects it
    reject_nested_values(row, line.number, name)
    for field_name, value in row.items():
        fields.setdefault(field_name, FieldTypes()).observe(value)
