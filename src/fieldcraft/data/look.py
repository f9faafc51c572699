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

from fieldcraft.data.parse import MISSING_MARKS, datetime_format, decimal_mark, numbers, strip


@dataclass(frozen=True)
class Guess:
    """What a column or target looks like, how sure that is (0 to 1), and why."""

    name: str
    confidence: float
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict)


class Look:
    """What one column looks like before anything is decided about it."""

    def __init__(self, column: pl.Series, missing: Sequence[str] = ()) -> None:
        """Look at a column as read, with the markers that stand for a missing value."""
        self.name = column.name
        self.raw = column
        self.column = strip(column, missing)

    @cached_property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.column)

    @cached_property
    def missing(self) -> int:
        """Number of rows without a value."""
        return self.column.null_count()

    @cached_property
    def values(self) -> pl.Series:
        """The values that are there."""
        return self.column.drop_nulls()

    @cached_property
    def counts(self) -> pl.DataFrame:
        """Distinct values with their counts, columns ``value`` and ``count``, commonest first."""
        counted = self.values.alias("value").value_counts(name="count")
        return counted.sort(["count", "value"], descending=[True, False])

    @cached_property
    def distinct(self) -> int:
        """Number of distinct values."""
        return self.counts.height

    @cached_property
    def is_text(self) -> bool:
        """Whether cells are text, as from a CSV file."""
        return self.column.dtype in (pl.String, pl.Categorical, pl.Enum)

    @cached_property
    def decimal(self) -> str:
        """The decimal mark that reads more of the cells as numbers: a point or a comma."""
        return decimal_mark(self.values) if self.is_text else "."

    @cached_property
    def numbers(self) -> pl.Series:
        """The cells as numbers, null where a cell is not one."""
        return numbers(self.column, self.decimal)

    @cached_property
    def numeric_share(self) -> float:
        """Share of the values that are numbers."""
        there = len(self.values)
        return (self.rows - self.numbers.null_count()) / there if there else 0.0

    @cached_property
    def span(self) -> tuple[float, float]:
        """The smallest and the largest number; zeros if there is none."""
        found = self.numbers.drop_nulls().to_numpy()
        return (float(found.min()), float(found.max())) if len(found) else (0.0, 0.0)

    @cached_property
    def whole_numbers(self) -> bool:
        """Whether all values are numbers without a fraction."""
        found = self.numbers.drop_nulls()
        return self.numeric_share == 1.0 and bool((found == found.round(0)).all())

    @cached_property
    def datetime_format(self) -> str | None:
        """The date format that reads at least 95 % of the values, if there is one."""
        if self.column.dtype in (pl.Date, pl.Datetime):
            return "native"
        return datetime_format(self.values) if self.is_text else None

    @cached_property
    def marks(self) -> dict[str, int]:
        """Markers of missing values (``?``, ``NA``, ...) among the cells, with their counts."""
        if not self.is_text:
            return {}
        text = strip(self.raw, ()).drop_nulls().cast(pl.String)
        found = text.filter(text.str.to_lowercase().is_in(list(MISSING_MARKS)))
        counted = found.alias("value").value_counts(name="count").sort("value")
        return dict(zip(counted["value"].to_list(), counted["count"].to_list(), strict=True))

    def top(self, most: int = 5) -> list[tuple[str, int]]:
        """The commonest values with their counts."""
        head = self.counts.head(most)
        return [(str(value), int(count)) for value, count in head.iter_rows()]


def looks(frame: pl.DataFrame, missing: Sequence[str] = ()) -> dict[str, Look]:
    """A look at every column of a frame, by name."""
    return {name: Look(frame[name], missing) for name in frame.columns}
