"""JSON lines: one flat record a line, also gzipped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.words import listed
from fieldcraft.data.decode import decode
from fieldcraft.data.frames import column_of, renamed
from fieldcraft.data.place import Place
from fieldcraft.data.reading import Reading
from fieldcraft.data.text import ODD_ALLOWED


class JsonLines:
    """Files of records; numbers stay numbers, and a field that mixes types becomes text."""

    name = "jsonl"
    forms = (".jsonl", ".ndjson")

    def claims(self, place: Place) -> bool:
        """Whether this is a file with such an ending, also with ``.gz``."""
        return place.ends(*self.forms)

    def read(self, place: Place, names: Sequence[str]) -> Reading:
        """Read one row a line; fields that a record lacks are missing.

        Raises:
            DataError: the file is not there or not text, a value is a list or record, or more
                than 1 % of the lines are not records.
        """
        decoded = decode(place.data(), place.name)
        rows: list[dict[str, Any]] = []
        odd: dict[int, str] = {}
        for number, line in enumerate(decoded.text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                rows.append(record_of(line))
            except (ValueError, RecursionError) as error:
                odd[number] = str(error)
                continue
            refuse_nested(rows[-1], number, place.name)
        refuse_broken(odd, len(rows) + len(odd), place.name)
        fields = dict.fromkeys(field for row in rows for field in row)
        frame = pl.DataFrame(
            [column_of(field, [row.get(field) for row in rows]) for field in fields]
        )
        notes = (decoded.note,) if decoded.note else ()
        return Reading(renamed(frame, names), odd_lines=tuple(odd), notes=notes)

    def digest(self, place: Place) -> str:
        """Digest of the file."""
        return place.digest()


def record_of(line: str) -> dict[str, Any]:
    """The record that a line holds.

    Raises:
        ValueError: it is not JSON, not a record, or has a field twice.
    """
    try:
        found = json.loads(line, object_pairs_hook=without_twins)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from error
    if not isinstance(found, dict):
        raise ValueError(f"a {type(found).__name__}, not a record")
    if "\\u" in line:
        json.dumps(found, ensure_ascii=False).encode()  # fails for half a character
    return found


def without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A record of fields and values.

    Raises:
        ValueError: a field comes twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field comes twice")
    return found


def refuse_nested(row: dict[str, Any], line: int, name: str) -> None:
    """Make sure that a record holds single values.

    Raises:
        DataError: a value is a list or a record.
    """
    for field, value in row.items():
        if isinstance(value, list | dict):
            raise DataError(
                f"the field {field!r} of {name} does not hold single values",
                seen=f"line {line}: {json.dumps(value)[:60]}",
                way_out="write flat records: a field for each value, such as "
                f'"{field}_1" and "{field}_2", or leave the field out',
            )


def refuse_broken(odd: dict[int, str], lines: int, name: str) -> None:
    """Make sure that only few lines are no records.

    Raises:
        DataError: more than 1 % are not.
    """
    if len(odd) > max(1, ODD_ALLOWED * lines):
        shown = [f"{number} ({why})" for number, why in odd.items()]
        raise DataError(
            f"{len(odd):,} of {lines:,} lines of {name} are not records",
            seen=f"first such lines: {listed(shown, 3)}",
            way_out='write one record a line, such as {"age": 31, "city": "Rome"}, '
            "without brackets or commas around the lines",
        )


SOURCE = JsonLines()
