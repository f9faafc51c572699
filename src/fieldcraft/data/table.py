"""Rows with typed columns: the schema that turns cells as read into values, and row digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from fieldcraft.core import catalogue
from fieldcraft.core.errors import DataError, near
from fieldcraft.data.parse import strip
from fieldcraft.data.prepare import derive


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind, and the kind's options (a decimal mark, a date format)."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The column as a JSON value."""
        return {"name": self.name, "kind": self.kind, "options": dict(self.options)}


@dataclass(frozen=True)
class Schema:
    """The columns of a table, the markers that stand for a missing value, and what is computed.

    Attributes:
        columns: what models see.
        missing: words that stand for a missing value.
        derived: SQL expressions of those columns that are computed from others.
        inputs: columns that only expressions read.
    """

    columns: tuple[Column, ...]
    missing: tuple[str, ...] = ()
    derived: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Column, ...] = ()

    @property
    def needed(self) -> tuple[Column, ...]:
        """The columns that rows must have as they are read."""
        given = tuple(column for column in self.columns if column.name not in self.derived)
        return given + self.inputs

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Turn cells as read into values; columns not in the schema are left out.

        The result depends on each row alone, so training rows and a single row at prediction
        are read alike. A cell that its kind cannot read becomes null.

        Raises:
            DataError: a column of the schema is not in the frame.
        """
        names = [column.name for column in self.needed]
        absent = [name for name in names if name not in frame.columns]
        if absent:
            hints = [f"{name!r}: {near(name, frame.columns)}" for name in absent[:3]]
            raise DataError(
                f"{len(absent)} column{'s' * (len(absent) > 1)} of the model "
                "cannot be found in these rows",
                seen=", ".join(absent[:8]),
                way_out="; ".join(hints) + " (use the column names of the training table)",
            )
        values = pl.DataFrame([self.parse(frame[column.name], column) for column in self.needed])
        if not self.derived:
            return values
        computed = derive(values, self.derived)
        return pl.DataFrame(
            [
                self.parse(computed[column.name], column)
                if column.name in self.derived
                else values[column.name]
                for column in self.columns
            ]
        )

    def parse(self, cells: pl.Series, column: Column) -> pl.Series:
        """Turn the cells of one column into values."""
        kind = catalogue.load("kinds", column.kind)
        parsed: pl.Series = kind.parse(strip(cells, self.missing), column.options)
        return parsed.rename(column.name)

    def of_kind(self, kind: str) -> tuple[Column, ...]:
        """The columns of one kind, in table order."""
        return tuple(column for column in self.columns if column.kind == kind)

    def as_json(self) -> dict[str, Any]:
        """The schema as a JSON value."""
        return {
            "columns": [column.as_json() for column in self.columns],
            "missing": list(self.missing),
            "derived": dict(self.derived),
            "inputs": [column.as_json() for column in self.inputs],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Schema:
        """The schema that `as_json` described."""
        columns, inputs = (
            tuple(Column(c["name"], c["kind"], c["options"]) for c in value[part])
            for part in ("columns", "inputs")
        )
        return cls(columns, tuple(value["missing"]), value["derived"], inputs)


def row_digests(frame: pl.DataFrame, columns: Sequence[str] | None = None) -> list[bytes]:
    """A 16-byte digest of each row's cells, blanks trimmed, in the order of the columns.

    Two rows have the same digest exactly if they hold the same cells; the digest does not
    depend on other rows, the file's form, or the version of a library.
    """
    chosen = list(columns) if columns is not None else frame.columns
    if not chosen:
        return [b""] * frame.height
    cells = pl.DataFrame([strip(frame[name]).cast(pl.String).alias(name) for name in chosen])
    # Each cell is led by its length, so that no two rows of different cells join to one text.
    spelt = [
        pl.format("{}:{}", pl.col(name).str.len_bytes(), pl.col(name)).fill_null("-")
        for name in chosen
    ]
    joined = cells.select(pl.concat_str(spelt)).to_series()
    return [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in joined]
