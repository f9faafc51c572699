"""JSON Lines: one flat record per line, also gzipped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import truncated_list
from fieldcraft.data.csv_reader import MAX_MALFORMED_FRACTION
from fieldcraft.data.dataframes import build_column, rename_columns
from fieldcraft.data.location import SourceLocation
from fieldcraft.data.source import ReadResult
from fieldcraft.data.text_encoding import decode_text


class JsonLinesSource:
    """Files of records; numbers stay numbers, and fields of mixed types become text."""

    name = "jsonl"
    address_forms = (".jsonl", ".ndjson")

    def can_read(self, location: SourceLocation) -> bool:
        """Return whether this is a file with such an extension, with or without ``.gz``."""
        return location.has_suffix(*self.address_forms)

    def read(self, location: SourceLocation, names: Sequence[str]) -> ReadResult:
        """Read one row per line; absent fields are missing values.

        Raises:
            DataError: the file is missing or not text, a value is a list or record, or more
                than 1 % of the lines are not records.
        """
        decoded = decode_text(location.read_bytes(), location.name)
        rows: list[dict[str, Any]] = []
        broken_lines: dict[int, str] = {}
        for number, line in enumerate(decoded.text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                rows.append(parse_record(line))
            except (ValueError, RecursionError) as error:
                broken_lines[number] = str(error)
                continue
            reject_nested_values(rows[-1], number, location.name)
        reject_broken_lines(broken_lines, len(rows) + len(broken_lines), location.name)
        fields = dict.fromkeys(field for row in rows for field in row)
        frame = pl.DataFrame(
            [build_column(field, [row.get(field) for row in rows]) for field in fields]
        )
        notes = (decoded.note,) if decoded.note else ()
        return ReadResult(
            rename_columns(frame, names), malformed_lines=tuple(broken_lines), notes=notes
        )

    def digest(self, location: SourceLocation) -> str:
        """Return the digest of the file."""
        return location.digest()


def parse_record(line: str) -> dict[str, Any]:
    """Parse the record on a line.

    Raises:
        ValueError: it is not JSON, not a record, has a field twice, or has a lone surrogate.
    """
    try:
        record = json.loads(line, object_pairs_hook=reject_duplicate_fields)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at character {error.pos + 1}") from error
    if not isinstance(record, dict):
        raise ValueError(f"a {type(record).__name__}, not a record")
    if "\\u" in line:
        # Raises UnicodeEncodeError, a ValueError, for a lone surrogate, which frames cannot hold.
        json.dumps(record, ensure_ascii=False).encode()
    return record


def reject_duplicate_fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a record from fields and values.

    Raises:
        ValueError: a field occurs twice.
    """
    # The json module silently keeps the last of two values, which would lose data.
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("a field occurs twice")
    return record


def reject_nested_values(row: dict[str, Any], line: int, name: str) -> None:
    """Check that a record holds single values only.

    Raises:
        DataError: a value is a list or a record.
    """
    for field, value in row.items():
        if isinstance(value, list | dict):
            raise DataError(
                f"the field {field!r} of {name} does not hold single values",
                detail=f"line {line}: {json.dumps(value)[:60]}",
                hint="write flat records: one field per value, such as "
                f'"{field}_1" and "{field}_2", or leave the field out',
            )


def reject_broken_lines(broken_lines: dict[int, str], n_lines: int, name: str) -> None:
    """Check that at most 1 % of the lines, or one line, are not records.

    Raises:
        DataError: there are more.
    """
    if len(broken_lines) > max(1, MAX_MALFORMED_FRACTION * n_lines):
        shown = [f"{number} ({reason})" for number, reason in broken_lines.items()]
        raise DataError(
            f"{len(broken_lines):,} of {n_lines:,} lines of {name} are not records",
            detail=f"first such lines: {truncated_list(shown, 3)}",
            hint='write one record per line, such as {"age": 31, "city": "Rome"}, '
            "without brackets around the lines or commas between them",
        )


SOURCE = JsonLinesSource()
