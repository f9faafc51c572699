"""A first look at a column: counts, distinct values, and what its cells could be read as.

Kinds recognise a column from a `Look`, checks audit it, the report draws it. Nothing here
depends on the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from fieldcraft.data.cell_parser import (
    MISSING_MARKERS,
    detect_datetime_format,
    detect_decimal_mark,
    normalize_missing,
    parse_numbers,
)


@dataclass(frozen=True)
class TypeInference:
    """What a column or target looks like, how sure that is (0 to 1), and why."""

    name: str
    confidence: float
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict)


class ColumnProfile:
    """What one column looks like before anything is decided about it."""

    def __init__(self, column: pl.Series, missing: Sequence[str] = ()) -> None:
        """Look at a column as read, with the markers that stand for a missing value."""
        self.name = column.name
        self.raw = column
        self.column = normalize_missing(column, missing)

    @cached_property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.column)

    @cached_property
    def n_missing(self) -> int:
        """Number of rows without a value."""
        return self.column.null_count()

    @cached_property
    def present_values(self) -> pl.Series:
        """The values that are there."""
        return self.column.drop_nulls()

    @cached_property
    def value_counts(self) -> pl.DataFrame:
        """Distinct values with their counts, columns ``value`` and ``count``, commonest first."""
        counted = self.present_values.alias("value").value_counts(name="count")
        return counted.sort(["count", "value"], descending=[True, False])

    @cached_property
    def n_unique(self) -> int:
        """Number of distinct values."""
        return self.value_counts.height

    @cached_property
    def is_text(self) -> bool:
        """Whether cells are text, as from a CSV file."""
        return self.column.dtype in (pl.String, pl.Categorical, pl.Enum)

    @cached_property
    def decimal_mark(self) -> str:
        """The decimal mark that reads more of the cells as numbers: a point or a comma."""
        return detect_decimal_mark(self.present_values) if self.is_text else "."

    @cached_property
    def numbers(self) -> pl.Series:
        """The cells as numbers, null where a cell is not one."""
        return parse_numbers(self.column, self.decimal_mark)

    @cached_property
    def numeric_fraction(self) -> float:
        """Share of the values that are numbers."""
        n_present = len(self.present_values)
        return (self.n_rows - self.numbers.null_count()) / n_present if n_present else 0.0

    @cached_property
    def value_range(self) -> tuple[float, float]:
        """The smallest and the largest number; zeros if there is none."""
        present_numbers = self.numbers.drop_nulls().to_numpy()
        return (
            (float(present_numbers.min()), float(present_numbers.max()))
            if len(present_numbers)
            else (0.0, 0.0)
        )

    @cached_property
    def is_integer(self) -> bool:
        """Whether all values are numbers without a fraction."""
        present_numbers = self.numbers.drop_nulls()
        return self.numeric_fraction == 1.0 and bool(
            (present_numbers == present_numbers.round(0)).all()
        )

    @cached_property
    def datetime_format(self) -> str | None:
        """The date format that reads at least 95 % of the values, if there is one."""
        if self.column.dtype in (pl.Date, pl.Datetime):
            return "native"
        return detect_datetime_format(self.present_values) if self.is_text else None

    @cached_property
    def missing_marker_counts(self) -> dict[str, int]:
        """Markers of missing values (``?``, ``NA``, ...) among the cells, with their counts."""
        if not self.is_text:
            return {}
        text = normalize_missing(self.raw, ()).drop_nulls().cast(pl.String)
        markers = text.filter(text.str.to_lowercase().is_in(list(MISSING_MARKERS)))
        counted = markers.alias("value").value_counts(name="count").sort("value")
        return dict(zip(counted["value"].to_list(), counted["count"].to_list(), strict=True))

    def most_common(self, n: int = 5) -> list[tuple[str, int]]:
        """The commonest values with their counts."""
        head = self.value_counts.head(n)
        return [(str(value), int(count)) for value, count in head.iter_rows()]


def looks(frame: pl.DataFrame, missing: Sequence[str] = ()) -> dict[str, ColumnProfile]:
    """A look at every column of a frame, by name."""
    return {name: ColumnProfile(frame[name], missing) for name in frame.columns}
