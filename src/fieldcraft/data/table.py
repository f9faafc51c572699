"""Rows with typed columns: the schema that turns cells as read into values, and row digests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import polars as pl

from fieldcraft.core import catalogue
from fieldcraft.core.errors import DataError, near
from fieldcraft.data.parse import strip
from fieldcraft.data.prepare import derive

FEW = 256  # rows up to which columns that are read alike are read together
CODED = (pl.Categorical, pl.Enum)  # cells that are numbers of their column's own levels


@cache
def kind_named(name: str) -> Any:
    """The kind of that name, looked up once."""
    return catalogue.load("kinds", name)


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind, and the kind's options (a decimal mark, a date format)."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def manner(self) -> tuple[str, str]:
        """How its cells are read: columns of the same manner are read alike."""
        return self.kind, repr(sorted(self.options.items()))

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

    @cached_property
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
        there = set(frame.columns)
        absent = [column.name for column in self.needed if column.name not in there]
        if absent:
            hints = [f"{name!r}: {near(name, frame.columns)}" for name in absent[:3]]
            raise DataError(
                f"{len(absent)} column{'s' * (len(absent) > 1)} of the model "
                "cannot be found in these rows",
                seen=", ".join(absent[:8]),
                way_out="; ".join(hints) + " (use the column names of the training table)",
            )
        values = self.read(frame, self.needed)
        if not self.derived:
            return values
        made = self.read(derive(values, self.derived), [c for c in self.columns if self.makes(c)])
        return pl.DataFrame(
            [(made if self.makes(column) else values)[column.name] for column in self.columns]
        )

    def makes(self, column: Column) -> bool:
        """Whether a column is computed from others."""
        return column.name in self.derived

    def read(self, frame: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
        """Turn the cells of some columns into values.

        Kinds read cell by cell. So where rows are few, and each call costs more than its cells,
        columns that are read alike are read one after the other in one call.
        """
        cells = {column.name: frame[column.name] for column in columns}
        few = frame.height <= FEW and not any(isinstance(c.dtype, CODED) for c in cells.values())
        kinds = {column.name: column for column in columns}

        def parsed(name: str, cells: pl.Series) -> pl.Series:
            return as_values(strip(cells, self.missing), kinds[name])

        values = in_groups(
            cells, parsed, lambda name: (kinds[name].manner, cells[name].dtype) if few else name
        )
        return pl.DataFrame(list(values.values()))

    def stripped(self, cells: pl.Series) -> pl.Series:
        """Cells as read, null where they stand for no value."""
        return strip(cells, self.missing)

    def parse(self, cells: pl.Series, column: Column) -> pl.Series:
        """Turn the cells of one column into values."""
        return as_values(strip(cells, self.missing), column).rename(column.name)

    def type_of(self, column: Column) -> pl.DataType:
        """The type of the values of a column."""
        return self.parse(pl.Series([], dtype=pl.String), column).dtype

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


def as_values(cells: pl.Series, column: Column) -> pl.Series:
    """Cells without blanks and marks of missing values, as the kind of their column reads them."""
    values: pl.Series = kind_named(column.kind).parse(cells, column.options)
    return values


def in_groups(
    columns: Mapping[str, pl.Series],
    work: Callable[[str, pl.Series], pl.Series],
    group: Callable[[str], Any],
) -> dict[str, pl.Series]:
    """What some work makes of columns, those of a group one after the other in one call.

    Args:
        columns: of the same length, by name.
        work: done cell by cell; gets the name of a column and the cells of all of its group.
        group: that a column belongs to, by its name.
    """
    groups: dict[Any, list[str]] = {}
    for name in columns:
        groups.setdefault(group(name), []).append(name)
    found = dict.fromkeys(columns, pl.Series())
    for names in groups.values():
        parts = [columns[name] for name in names]
        height = len(parts[0])
        made = work(names[0], pl.concat(parts) if len(parts) > 1 else parts[0])
        for number, name in enumerate(names):
            found[name] = made.slice(number * height, height).rename(name)
    return found


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
