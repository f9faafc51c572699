"""The schema that parses cells into typed values, and digests of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import polars as pl

from fieldcraft.core import catalog
from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.data.cell_parser import normalize_missing
from fieldcraft.data.sql_transforms import add_derived_columns

# Up to this number of rows, columns of the same kind and options are parsed in one call: with few
# rows, the overhead of each call exceeds the work on its cells.
MAX_ROWS_PARSED_TOGETHER = 256
CATEGORICAL_DTYPES = (pl.Categorical, pl.Enum)  # their codes have a meaning in one column only


@cache
def load_kind(name: str) -> Any:
    """Return the kind with a name, looked up once."""
    return catalog.load_plugin("kinds", name)


@dataclass(frozen=True)
class Column:
    """A column: its name, its kind, and options of the kind (decimal mark, date format)."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def parse_key(self) -> tuple[str, str]:
        """Kind and options; columns with equal keys are parsed in the same way."""
        return self.kind, repr(sorted(self.options.items()))

    def as_json(self) -> dict[str, Any]:
        """Return the column as a JSON value."""
        return {"name": self.name, "kind": self.kind, "options": dict(self.options)}


@dataclass(frozen=True)
class Schema:
    """The columns of a table, the markers of missing values, and derived columns.

    Attributes:
        columns: the columns that models use.
        missing_markers: words that stand for a missing value.
        derivations: SQL expressions of derived columns, by name.
        derivation_inputs: columns that only these expressions use.
    """

    columns: tuple[Column, ...]
    missing_markers: tuple[str, ...] = ()
    derivations: Mapping[str, str] = field(default_factory=dict)
    derivation_inputs: tuple[Column, ...] = ()

    @cached_property
    def input_columns(self) -> tuple[Column, ...]:
        """The columns that a table must have as read."""
        raw_columns = tuple(
            column for column in self.columns if column.name not in self.derivations
        )
        return raw_columns + self.derivation_inputs

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Parse cells into values; columns that are not in the schema are dropped.

        Each row is parsed independently of the others, so that training and prediction give
        the same values. A cell that its kind cannot parse becomes null.

        Raises:
            DataError: a column of the schema is missing.
        """
        present_columns = set(frame.columns)
        missing_columns = [
            column.name for column in self.input_columns if column.name not in present_columns
        ]
        if missing_columns:
            hints = [
                f"{name!r}: {did_you_mean(name, frame.columns)}" for name in missing_columns[:3]
            ]
            raise DataError(
                f"{len(missing_columns)} column{'s' * (len(missing_columns) > 1)} of the model "
                f"{'are' if len(missing_columns) > 1 else 'is'} missing from these rows",
                detail=", ".join(missing_columns[:8]),
                hint="; ".join(hints) + " (use the column names of the training table)",
            )
        values = self.parse_columns(frame, self.input_columns)
        if not self.derivations:
            return values
        # Expressions use parsed values; their results are parsed by the kind of the new column,
        # which has options of its own, such as limits for clipping.
        derived_values = self.parse_columns(
            add_derived_columns(values, self.derivations),
            [column for column in self.columns if self.is_derived(column)],
        )
        return pl.DataFrame(
            [
                (derived_values if self.is_derived(column) else values)[column.name]
                for column in self.columns
            ]
        )

    def is_derived(self, column: Column) -> bool:
        """Return whether a column is computed from others."""
        return column.name in self.derivations

    def parse_columns(self, frame: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
        """Parse the cells of some columns.

        Kinds parse cell by cell, so few rows of equal columns can be parsed in one call.
        """
        cells = {column.name: frame[column.name] for column in columns}
        can_group = frame.height <= MAX_ROWS_PARSED_TOGETHER and not any(
            isinstance(series.dtype, CATEGORICAL_DTYPES) for series in cells.values()
        )
        column_by_name = {column.name: column for column in columns}

        def parse_cells(name: str, cells: pl.Series) -> pl.Series:
            return parse_values(
                normalize_missing(cells, self.missing_markers), column_by_name[name]
            )

        values = map_in_groups(
            cells,
            parse_cells,
            lambda name: (column_by_name[name].parse_key, cells[name].dtype) if can_group else name,
        )
        return pl.DataFrame(list(values.values()))

    def normalize_missing(self, cells: pl.Series) -> pl.Series:
        """Return cells as read, null where the value is missing."""
        return normalize_missing(cells, self.missing_markers)

    def parse(self, cells: pl.Series, column: Column) -> pl.Series:
        """Parse the cells of one column."""
        return parse_values(normalize_missing(cells, self.missing_markers), column).rename(
            column.name
        )

    def dtype_of(self, column: Column) -> pl.DataType:
        """Return the type of the values of a column."""
        return self.parse(pl.Series([], dtype=pl.String), column).dtype

    def columns_of_kind(self, kind: str) -> tuple[Column, ...]:
        """Return the columns of one kind, in table order."""
        return tuple(column for column in self.columns if column.kind == kind)

    def as_json(self) -> dict[str, Any]:
        """Return the schema as a JSON value."""
        return {
            "columns": [column.as_json() for column in self.columns],
            "na_values": list(self.missing_markers),
            "derived_columns": dict(self.derivations),
            "inputs": [column.as_json() for column in self.derivation_inputs],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Schema:
        """Build a schema from the value that `as_json` returned."""
        columns, inputs = (
            tuple(Column(item["name"], item["kind"], item["options"]) for item in value[key])
            for key in ("columns", "inputs")
        )
        return cls(columns, tuple(value["na_values"]), value["derived_columns"], inputs)


def parse_values(cells: pl.Series, column: Column) -> pl.Series:
    """Parse trimmed cells, null where missing, with the kind of their column."""
    values: pl.Series = load_kind(column.kind).parse(cells, column.options)
    return values


def map_in_groups(
    columns: Mapping[str, pl.Series],
    function: Callable[[str, pl.Series], pl.Series],
    group_key: Callable[[str], Any],
) -> dict[str, pl.Series]:
    """Apply a function to groups of columns, with one call for all cells of a group.

    Args:
        columns: columns of the same length, by name.
        function: works cell by cell; takes the name of one column and the cells of its group.
        group_key: maps the name of a column to its group.
    """
    groups: dict[Any, list[str]] = {}
    for name in columns:
        groups.setdefault(group_key(name), []).append(name)
    results = dict.fromkeys(columns, pl.Series())
    for names in groups.values():
        parts = [columns[name] for name in names]
        height = len(parts[0])
        group_result = function(names[0], pl.concat(parts) if len(parts) > 1 else parts[0])
        for position, name in enumerate(names):
            results[name] = group_result.slice(position * height, height).rename(name)
    return results


def row_digests(frame: pl.DataFrame, columns: Sequence[str] | None = None) -> list[bytes]:
    """Return a 16-byte digest of the trimmed cells of each row, in the order of the columns.

    Rows have equal digests if and only if their cells are equal. A digest does not depend on other
    rows, the file format, or the version of a library.
    """
    digest_columns = list(columns) if columns is not None else frame.columns
    if not digest_columns:
        return [b""] * frame.height
    cells = pl.DataFrame(
        [normalize_missing(frame[name]).cast(pl.String).alias(name) for name in digest_columns]
    )
    # Each cell is prefixed by its length, so that ("ab", "c") and ("a", "bc") give different texts.
    length_prefixed = [
        pl.format("{}:{}", pl.col(name).str.len_bytes(), pl.col(name)).fill_null("-")
        for name in digest_columns
    ]
    joined = cells.select(pl.concat_str(length_prefixed)).to_series()
    return [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in joined]
