"""Groups of rows by the values of a column, for figures that are told group by group."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl

FEWEST = 30  # rows of a group, below which figures say nothing
MOST = 12  # groups of a column; numbers of more values are cut into quarters
MISSING = "(missing)"


def edges_of(values: pl.Series) -> list[float]:
    """Where a column is cut into quarters; nowhere unless it is of numbers of many values."""
    if not values.dtype.is_numeric() or values.n_unique() <= MOST:
        return []
    quarters = np.quantile(values.drop_nulls().to_numpy(), [0.25, 0.5, 0.75])
    return [float(edge) for edge in np.unique(quarters)]


def group_of(values: pl.Series, edges: Sequence[float]) -> pl.Series:
    """The group of each value: itself, or between which edges it lies; null where it is missing.

    >>> group_of(pl.Series([1.0, 5.0, None]), [2.0, 4.0]).to_list()
    ['up to 2', 'above 4', None]
    """
    if edges:
        names = ranges(edges)
        places = np.searchsorted(edges, values.cast(pl.Float64).fill_null(0).to_numpy())
        return pl.Series([names[place] for place in places]).set(values.is_null(), None)
    if values.dtype.is_numeric():
        return pl.Series([None if v is None else f"{v:g}" for v in values], dtype=pl.String)
    return values.cast(pl.String)


def ranges(edges: Sequence[float]) -> list[str]:
    """The names of the ranges between edges, and beyond them."""
    inner = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"up to {edges[0]:g}", *inner, f"above {edges[-1]:g}"]


def groups_of(values: pl.Series) -> tuple[pl.Series, list[str]]:
    """The group of each row, and the groups in order: numbers upwards, others by their rows."""
    edges = edges_of(values)
    codes = group_of(values, edges).fill_null(MISSING).alias("group")
    if edges:
        return codes, [*ranges(edges), MISSING]
    if values.dtype.is_numeric():
        return codes, [*group_of(values.drop_nulls().unique().sort(), []), MISSING]
    return codes, codes.value_counts(sort=True)["group"].to_list()
