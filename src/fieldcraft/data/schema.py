"""Rows with typed columns: the schema that turns cells as read into values, and row digests."""

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

MAX_ROWS_PARSED_TOGETHER = 256  # rows up to which columns that are read alike are read together
CATEGORICAL_DTYPES = (
    pl.Categorical,
    pl.Enum,
)  # cells that are numbers of their column's own levels


@cache
def load_kind(name: str) -> Any:
    """The kind of that name, looked up once."""
    return catalog.load_plugin("kinds", name)


@dataclass(frozen=True)
class Column:
    """One column: its name, its kind, and the kind's options (a decimal mark, a date format)."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def parse_key(self) -> tuple[str, str]:
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
        missing_markers: words that stand for a missing value.
        derivations: SQL expressions of those columns that are computed from others.
        derivation_inputs: columns that only expressions read.
    """

    columns: tuple[Column, ...]
    missing_markers: tuple[str, ...] = ()
    derivations: Mapping[str, str] = field(default_factory=dict)
    derivation_inputs: tuple[Column, ...] = ()

    @cached_property
    def input_columns(self) -> tuple[Column, ...]:
        """The columns that rows must have as they are read."""
        raw_columns = tuple(
            column for column in self.columns if column.name not in self.derivations
        )
        return raw_columns + self.derivation_inputs

    def apply(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Turn cells as read into values; columns not in the schema are left out.

        The result depends on each row alone, so training rows and a single row at prediction
        are read alike. A cell that its kind cannot read becomes null.

        Raises:
            DataError: a column of the schema is not in the frame.
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
                "cannot be found in these rows",
                detail=", ".join(missing_columns[:8]),
                hint="; ".join(hints) + " (use the column names of the training table)",
            )
        values = self.parse_columns(frame, self.input_columns)
        if not self.derivations:
            return values
        derived_values = self.parse_columns(
            add_derived_columns(values, self.derivations),
            [c for c in self.columns if self.is_derived(c)],
        )
        return pl.DataFrame(
            [
                (derived_values if self.is_derived(column) else values)[column.name]
                for column in self.columns
            ]
        )

    def is_derived(self, column: Column) -> bool:
        """Whether a column is computed from others."""
        return column.name in self.derivations

    def parse_columns(self, frame: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
        """Turn the cells of some columns into values.

        Kinds read cell by cell. So where rows are few, and each call costs more than its cells,
        columns that are read alike are read one after the other in one call.
        """
        cells = {column.name: frame[column.name] for column in columns}
        is_small = frame.height <= MAX_ROWS_PARSED_TOGETHER and not any(
            isinstance(c.dtype, CATEGORICAL_DTYPES) for c in cells.values()
        )
        column_by_name = {column.name: column for column in columns}

        def parse_cells(name: str, cells: pl.Series) -> pl.Series:
            return parse_values(
                normalize_missing(cells, self.missing_markers), column_by_name[name]
            )

        values = map_in_groups(
            cells,
            parse_cells,
            lambda name: (column_by_name[name].parse_key, cells[name].dtype) if is_small else name,
        )
        return pl.DataFrame(list(values.values()))

    def normalize_missing(self, cells: pl.Series) -> pl.Series:
        """Cells as read, null where they stand for no value."""
        return normalize_missing(cells, self.missing_markers)

    def parse(self, cells: pl.Series, column: Column) -> pl.Series:
        """Turn the cells of one column into values."""
        return parse_values(normalize_missing(cells, self.missing_markers), column).rename(
            column.name
        )

    def dtype_of(self, column: Column) -> pl.DataType:
        """The type of the values of a column."""
        return self.parse(pl.Series([], dtype=pl.String), column).dtype

    def columns_of_kind(self, kind: str) -> tuple[Column, ...]:
        """The columns of one kind, in table order."""
        return tuple(column for column in self.columns if column.kind == kind)

    def as_json(self) -> dict[str, Any]:
        """The schema as a JSON value."""
        return {
            "columns": [column.as_json() for column in self.columns],
            "missing": list(self.missing_markers),
            "derived": dict(self.derivations),
            "inputs": [column.as_json() for column in self.derivation_inputs],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Schema:
        """The schema that `as_json` described."""
        columns, inputs = (
            tuple(Column(c["name"], c["kind"], c["options"]) for c in value[part])
            for part in ("columns", "inputs")
        )
        return cls(columns, tuple(value["missing"]), value["derived"], inputs)


def parse_values(cells: pl.Series, column: Column) -> pl.Series:
    """Cells without blanks and marks of missing values, as the kind of their column reads them."""
    values: pl.Series = load_kind(column.kind).parse(cells, column.options)
    return values


def map_in_groups(
    columns: Mapping[str, pl.Series],
    function: Callable[[str, pl.Series], pl.Series],
    group_key: Callable[[str], Any],
) -> dict[str, pl.Series]:
    """What some work makes of columns, those of a group one after the other in one call.

    Args:
        columns: of the same length, by name.
        function: done cell by cell; gets the name of a column and the cells of all of its group.
        group_key: that a column belongs to, by its name.
    """
    groups: dict[Any, list[str]] = {}
    for name in columns:
        groups.setdefault(group_key(name), []).append(name)
    results = dict.fromkeys(columns, pl.Series())
    for names in groups.values():
        parts = [columns[name] for name in names]
        height = len(parts[0])
        group_result = function(names[0], pl.concat(parts) if len(parts) > 1 else parts[0])
        for number, name in enumerate(names):
            results[name] = group_result.slice(number * height, height).rename(name)
    return results


def row_digests(frame: pl.DataFrame, columns: Sequence[str] | None = None) -> list[bytes]:
    """A 16-byte digest of each row's cells, blanks trimmed, in the order of the columns.

    Two rows have the same digest exactly if they hold the same cells; the digest does not
    depend on other rows, the file's form, or the version of a library.
    """
    digest_columns = list(columns) if columns is not None else frame.columns
    if not digest_columns:
        return [b""] * frame.height
    cells = pl.DataFrame(
        [normalize_missing(frame[name]).cast(pl.String).alias(name) for name in digest_columns]
    )
    # Each cell is led by its length, so that no two rows of different cells join to one text.
    length_prefixed = [
        pl.format("{}:{}", pl.col(name).str.len_bytes(), pl.col(name)).fill_null("-")
        for name in digest_columns
    ]
    joined = cells.select(pl.concat_str(length_prefixed)).to_series()
    return [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in joined]
