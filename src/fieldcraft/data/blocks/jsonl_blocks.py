"""JSON lines in blocks: all lines are read once for the types of their fields, then in blocks.

What a field is depends on all of its values: see `frames.type_of`.
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
    """A line of a file: its number, its bytes as text, and where it ends."""

    number: int
    text: str
    end: int


@dataclass
class FieldTypes:
    """What was seen of a field: the types of its values, and the largest whole number."""

    types: set[type] = field(default_factory=set)
    max_integer: int = 0

    def observe(self, value: Any) -> None:
        """Take note of a value."""
        if value is not None:
            self.types.add(type(value))
            if type(value) is int:
                self.max_integer = max(self.max_integer, abs(value))


@dataclass(frozen=True)
class JsonlBlocks:
    """A file of records in blocks.

    Attributes:
        path: of the file, unpacked and not in UTF-16.
        options: how it is to be read.
        encoding: how bytes become text.
        dtypes: of all fields, in the order in which they come first.
        columns: the names of the fields as columns.
        ranges: where the blocks lie.
    """

    path: Path
    options: ReadOptions
    encoding: str
    dtypes: Mapping[str, pl.DataType]
    columns: tuple[str, ...]
    ranges: tuple[ByteRange, ...] = field(repr=False)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bytes of each block."""
        return tuple(byte_range.end - byte_range.start for byte_range in self.ranges)

    def read_block(self, number: int) -> Block:
        """The rows of a block; fields that a record lacks are missing."""
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
    """The lines of a block that are not blank."""
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
    """A file of records in blocks of whole lines.

    Args:
        path: of the file, unpacked and not in UTF-16.
        name: what it is called in messages.
        options: how it is to be read.

    Raises:
        DataError: a value is a list or record, or the names do not fit.
    """
    encoding, size = detect_file_encoding(path), path.stat().st_size
    fields: dict[str, FieldTypes] = {}
    ranges: list[ByteRange] = []
    current = ByteRange(0, 0, 0)
    for line in iter_lines(path, encoding, ByteRange(0, size, 0)):
        observe_line(line, fields, name)
        if current.end - current.start >= options.block_bytes:
            ranges.append(current)
            current = ByteRange(current.end, current.end, current.last_line)
        current = ByteRange(current.start, line.end, current.lines_before, line.number)
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
    """Take note of the values in a line, if it is a record.

    Raises:
        DataError: one of them is a list or a record.
    """
    try:
        row = parse_record(line.text)
    except (ValueError, RecursionError):
        return
    reject_nested_values(row, line.number, name)
    for field_name, value in row.items():
        fields.setdefault(field_name, FieldTypes()).observe(value)
