"""Groups of rows by the values of a column, for metrics by group."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl

MIN_ROWS_PER_GROUP = 30  # below which metrics are too uncertain to report
MAX_GROUPS_PER_COLUMN = 12  # numbers with more distinct values are grouped by quartile
MISSING_GROUP = "(missing)"


def quartile_edges(values: pl.Series) -> list[float]:
    """The quartiles of a column of numbers with many distinct values; none for other columns."""
    if not values.dtype.is_numeric() or values.n_unique() <= MAX_GROUPS_PER_COLUMN:
        return []
    quartiles = np.quantile(values.drop_nulls().to_numpy(), [0.25, 0.5, 0.75])
    # Quartiles coincide where one value is common; equal edges would make an empty group.
    return [float(edge) for edge in np.unique(quartiles)]


def assign_groups(values: pl.Series, edges: Sequence[float]) -> pl.Series:
    """The group of each value: the value itself, or its range between edges; null if missing.

    >>> assign_groups(pl.Series([1.0, 5.0, None]), [2.0, 4.0]).to_list()
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
    """The names of the ranges below, between and above edges."""
    inner_names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"up to {edges[0]:g}", *inner_names, f"above {edges[-1]:g}"]


def groups_in_order(values: pl.Series) -> tuple[pl.Series, list[str]]:
    """The group of each row, and all groups: numbers in order, others by decreasing size."""
    edges = quartile_edges(values)
    groups = assign_groups(values, edges).fill_null(MISSING_GROUP).alias("group")
    if edges:
        return groups, [*name_ranges(edges), MISSING_GROUP]
    if values.dtype.is_numeric():
        return groups, [*assign_groups(values.drop_nulls().unique().sort(), []), MISSING_GROUP]
    return groups, groups.value_counts(sort=True)["group"].to_list()
