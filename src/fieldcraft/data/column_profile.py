"""Column profiles: counts, distinct values, and what the cells could be parsed as.

Kinds infer the type of a column from its profile; checks and the report use it too. Nothing here
depends on the target, so profiles may be computed from all rows without a leak.
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
    """The inferred kind of a column or task of a target, a confidence (0 to 1), and the reason."""

    name: str
    confidence: float
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict)


class ColumnProfile:
    """Statistics of one column, computed on first use, before its kind is known."""

    def __init__(self, column: pl.Series, missing_markers: Sequence[str] = ()) -> None:
        """Profile a column as read; the markers stand for missing values."""
        self.name = column.name
        self.raw = column
        self.column = normalize_missing(column, missing_markers)

    # Cached, since kinds, checks and the report use the same statistics.
    @cached_property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.column)

    @cached_property
    def n_missing(self) -> int:
        """Number of missing values."""
        return self.column.null_count()

    @cached_property
    def present_values(self) -> pl.Series:
        """The values that are not missing."""
        return self.column.drop_nulls()

    @cached_property
    def value_counts(self) -> pl.DataFrame:
        """Distinct values, columns ``value`` and ``count``, most frequent first."""
        counted = self.present_values.alias("value").value_counts(name="count")
        # Ties are ordered by value, since the order of `value_counts` changes from run to run.
        return counted.sort(["count", "value"], descending=[True, False])

    @cached_property
    def n_unique(self) -> int:
        """Number of distinct values."""
        return self.value_counts.height

    @cached_property
    def is_text(self) -> bool:
        """Whether the cells are text, as from a CSV file."""
        return self.column.dtype in (pl.String, pl.Categorical, pl.Enum)

    @cached_property
    def decimal_mark(self) -> str:
        """The decimal mark, point or comma, with which more cells are numbers."""
        return detect_decimal_mark(self.present_values) if self.is_text else "."

    @cached_property
    def numbers(self) -> pl.Series:
        """The cells as numbers, null where a cell is not a number."""
        return parse_numbers(self.column, self.decimal_mark)

    @cached_property
    def numeric_fraction(self) -> float:
        """Fraction of the present values that are numbers."""
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
        """Whether all present values are whole numbers."""
        present_numbers = self.numbers.drop_nulls()
        return self.numeric_fraction == 1.0 and bool(
            (present_numbers == present_numbers.round(0)).all()
        )

    @cached_property
    def datetime_format(self) -> str | None:
        """The first date format that parses at least 95 % of the values, or None."""
        if self.column.dtype in (pl.Date, pl.Datetime):
            return "native"
        return detect_datetime_format(self.present_values) if self.is_text else None

    @cached_property
    def missing_marker_counts(self) -> dict[str, int]:
        """Markers of missing values (``?``, ``NA``, ...) in the cells, with their counts."""
        if not self.is_text:
            return {}
        text = normalize_missing(self.raw, ()).drop_nulls().cast(pl.String)
        markers = text.filter(text.str.to_lowercase().is_in(list(MISSING_MARKERS)))
        counted = markers.alias("value").value_counts(name="count").sort("value")
        return dict(zip(counted["value"].to_list(), counted["count"].to_list(), strict=True))

    def most_common(self, n: int = 5) -> list[tuple[str, int]]:
        """Return the most frequent values with their counts."""
        head = self.value_counts.head(n)
        return [(str(value), int(count)) for value, count in head.iter_rows()]


def profile_columns(
    frame: pl.DataFrame, missing_markers: Sequence[str] = ()
) -> dict[str, ColumnProfile]:
    """Return the profile of each column of a frame, by name."""
    return {name: ColumnProfile(frame[name], missing_markers) for name in frame.columns}
