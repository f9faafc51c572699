"""Groups of rows by the values of a column, for figures that are told group by group."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl

MIN_ROWS_PER_GROUP = 30  # rows of a group, below which figures say nothing
MAX_GROUPS_PER_COLUMN = 12  # groups of a column; numbers of more values are cut into quarters
MISSING_GROUP = "(missing)"


def quartile_edges(values: pl.Series) -> list[float]:
    """Where a column is cut into quarters; nowhere unless it is of numbers of many values."""
    if not values.dtype.is_numeric() or values.n_unique() <= MAX_GROUPS_PER_COLUMN:
        return []
    quartiles = np.quantile(values.drop_nulls().to_numpy(), [0.25, 0.5, 0.75])
    return [float(edge) for edge in np.unique(quartiles)]


def assign_groups(values: pl.Series, edges: Sequence[float]) -> pl.Series:
    """The group of each value: itself, or between which edges it lies; null where it is missing.

    >>> group_of(pl.Series([1.0, 5.0, None]), [2.0, 4.0]).to_list()
    ['up to 2', 'above 4', None]
    """
    if edges:
        range_names = name_ranges(edges)
        range_indices = np.searchsorted(edges, values.cast(pl.Float64).fill_null(0).to_numpy())
        return pl.Series([range_names[range_index] for range_index in range_indices]).set(
            values.is_null(), None
        )
    if values.dtype.is_numeric():
        return pl.Series(
            [None if value is None else f"{value:g}" for value in values], dtype=pl.String
        )
    return values.cast(pl.String)


def name_ranges(edges: Sequence[float]) -> list[str]:
    """The names of the ranges between edges, and beyond them."""
    inner_names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"up to {edges[0]:g}", *inner_names, f"above {edges[-1]:g}"]


def groups_in_order(values: pl.Series) -> tuple[pl.Series, list[str]]:
    """The group of each row, and the groups in order: numbers upwards, others by their rows."""
    edges = quartile_edges(values)
    groups = assign_groups(values, edges).fill_null(MISSING_GROUP).alias("group")
    if edges:
        return groups, [*name_ranges(edges), MISSING_GROUP]
    if values.dtype.is_numeric():
        return groups, [*assign_groups(values.drop_nulls().unique().sort(), []), MISSING_GROUP]
    return groups, groups.value_counts(sort=True)["group"].to_list()
