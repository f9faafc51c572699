"""JSON lines in blocks: all lines are read once for the types of their fields, then in blocks.

What a field is depends on all of its values: see `frames.type_of`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.data.blocks.lines import Span
from fieldcraft.data.blocks.shape import Piece, Reject, Wish
from fieldcraft.data.blocks.spool import coding_of, decoded
from fieldcraft.data.cut import checked_names
from fieldcraft.data.frames import column_as, type_of
from fieldcraft.data.sources.jsonl import record_of, refuse_nested


@dataclass(frozen=True)
class Line:
    """A line of a file: its number, its bytes as text, and where it ends."""

    number: int
    text: str
    end: int


@dataclass
class Field:
    """What was seen of a field: the types of its values, and the largest whole number."""

    types: set[type] = field(default_factory=set)
    most: int = 0

    def see(self, value: Any) -> None:
        """Take note of a value."""
        if value is not None:
            self.types.add(type(value))
            if type(value) is int:
                self.most = max(self.most, abs(value))


@dataclass(frozen=True)
class Records:
    """A file of records in blocks.

    Attributes:
        path: of the file, unpacked and not in UTF-16.
        wish: how it is to be read.
        coding: how bytes become text.
        types: of all fields, in the order in which they come first.
        columns: the names of the fields as columns.
        spans: where the blocks lie.
    """

    path: Path
    wish: Wish
    coding: str
    types: Mapping[str, pl.DataType]
    columns: tuple[str, ...]
    spans: tuple[Span, ...] = field(repr=False)

    @property
    def weights(self) -> tuple[int, ...]:
        """Bytes of each block."""
        return tuple(span.end - span.start for span in self.spans)

    def read(self, number: int) -> Piece:
        """The rows of a block; fields that a record lacks are missing."""
        rows, rejects = [], []
        for line in lines_of(self.path, self.coding, self.spans[number]):
            try:
                rows.append(record_of(line.text))
            except (ValueError, RecursionError) as error:
                rejects.append(
                    Reject(line.number, 1, f"not a record: {error}", line.text.rstrip("\r"))
                )
        kept = set(self.wish.kept(self.columns))
        columns = [
            column_as(column, [row.get(name) for row in rows], kind)
            for column, (name, kind) in zip(self.columns, self.types.items(), strict=True)
            if column in kept
        ]
        return Piece(pl.DataFrame(columns), tuple(rejects))


def lines_of(path: Path, coding: str, span: Span) -> Iterator[Line]:
    """The lines of a block that are not blank."""
    place = span.start
    with path.open("rb") as stream:
        stream.seek(place)
        for number, raw in enumerate(stream, span.before + 1):
            text = decoded(raw, coding, not place).removesuffix("\n")
            place += len(raw)
            if text.strip():
                yield Line(number, text, place)
            if place >= span.end:
                return


def in_records(path: Path, name: str, wish: Wish) -> Records:
    """A file of records in blocks of whole lines.

    Args:
        path: of the file, unpacked and not in UTF-16.
        name: what it is called in messages.
        wish: how it is to be read.

    Raises:
        DataError: a value is a list or record, or the names do not fit.
    """
    coding, size = coding_of(path), path.stat().st_size
    fields: dict[str, Field] = {}
    spans: list[Span] = []
    last = Span(0, 0, 0)
    for line in lines_of(path, coding, Span(0, size, 0)):
        see(line, fields, name)
        if last.end - last.start >= wish.size:
            spans.append(last)
            last = Span(last.end, last.end, last.after)
        last = Span(last.start, line.end, last.before, line.number)
    spans.append(replace(last, end=size))
    names = checked_names(wish.names, len(fields)) if wish.names else list(fields)
    types = {name: type_of(seen.types, seen.most) for name, seen in fields.items()}
    return Records(path, wish, coding, types, tuple(names), tuple(spans))


def see(line: Line, fields: dict[str, Field], name: str) -> None:
    """Take note of the values in a line, if it is a record.

    Raises:
        DataError: one of them is a list or a record.
    """
    try:
        row = record_of(line.text)
    except (ValueError, RecursionError):
        return
    refuse_nested(row, line.number, name)
    for field_name, value in row.items():
        fields.setdefault(field_name, Field()).see(value)
