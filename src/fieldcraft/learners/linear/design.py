"""What the linear model multiplies: numbers, flags for gaps, and one 0/1 column a level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from fieldcraft.contracts import Array, Matrix

FARTHEST = 10.0  # where a standardised number stops, against wild extrapolation
HEAVY_SKEW = 2.0
MOST_DENSE = 256  # columns of levels; more of them are kept as a sparse matrix
SMALLEST, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Shape:
    """Where a number column lies on training rows, and how wide it is."""

    centre: float = 0.0
    spread: float = 1.0
    middle: float = 0.0
    width: float = 1.0
    heavy: bool = False


def learn_shape(column: Array) -> Shape:
    """Mean and deviation; for a column with a heavy tail also median and quartile distance."""
    there = column[~np.isnan(column)].astype(np.float64)
    spread = float(there.std()) if len(there) else 0.0
    if spread < SMALLEST:
        return Shape(centre=float(there[0]) if len(there) else 0.0)
    centre = float(there.mean())
    skew = float((((there - centre) / spread) ** 3).mean())
    low, middle, high = (float(value) for value in np.quantile(there, [0.25, 0.5, 0.75]))
    width = high - low if high - low >= SMALLEST else spread
    return Shape(centre, spread, middle, min(width, LARGEST), abs(skew) > HEAVY_SKEW)


def learn_design(matrix: Matrix) -> dict[str, Array]:
    """What `numbers_of` and `places_of` need, from training rows.

    Returns:
        Arrays by name. Columns of the matrix: ``numeric``, those of them with a heavy tail
        ``heavy``, those with gaps ``flagged``, those of codes ``coded``; then ``centre`` and
        ``spread`` of the numeric ones, ``middle`` and ``width`` of the heavy ones, ``levels`` of
        the coded ones and ``first``, the place before the first level of each.
    """
    levels = np.array(matrix.levels, dtype=np.int64)
    numeric, coded = np.flatnonzero(levels == 0), np.flatnonzero(levels)
    shapes = [learn_shape(matrix.values[:, column]) for column in numeric]
    heavy = [i for i, shape in enumerate(shapes) if shape.heavy]
    gaps = [bool(np.isnan(matrix.values[:, column]).any()) for column in numeric]

    def floats(name: str, where: Any) -> Array:
        return np.array([getattr(shapes[i], name) for i in where], dtype=np.float32)

    return {
        "numeric": numeric,
        "centre": floats("centre", range(len(numeric))),
        "spread": floats("spread", range(len(numeric))),
        "heavy": numeric[heavy],
        "middle": floats("middle", heavy),
        "width": floats("width", heavy),
        "flagged": numeric[np.array(gaps, dtype=bool)],
        "coded": coded,
        "levels": levels[coded],
        "first": np.cumsum(levels[coded]) - levels[coded],
    }


def numbers_of(learned: Mapping[str, Array], values: Array) -> Array:
    """Numbers standardised, heavy tails once more on a logarithmic scale, flags for gaps.

    Gaps become 0: the mean, or the median of a heavy tail.

    Returns:
        Shape (rows, numeric + heavy + flagged), float32.
    """
    a = learned
    with np.errstate(over="ignore"):  # what overflows is cut off
        plain = (values[:, a["numeric"]] - a["centre"]) / a["spread"]
        tails = np.arcsinh((values[:, a["heavy"]] - a["middle"]) / a["width"])
    numbers = np.clip(np.nan_to_num(np.hstack([plain, tails]), nan=0.0), -FARTHEST, FARTHEST)
    flags = np.isnan(values[:, a["flagged"]])
    return np.hstack([numbers, flags]).astype(np.float32)


def places_of(learned: Mapping[str, Array], values: Array) -> Array:
    """Place of each code among the levels of all columns, counted from 1; 0 for unseen ones.

    Returns:
        Shape (rows, coded), int64.
    """
    codes = values[:, learned["coded"]]
    known = (codes > 0.5) & (codes < learned["levels"] + 0.5)
    return np.asarray(np.where(known, codes + learned["first"], 0).astype(np.int64))


def design_of(learned: Mapping[str, Array], values: Array) -> Any:
    """Numbers, flags and one 0/1 column a level, side by side, for fitting.

    Returns:
        Shape (rows, columns), float32: an array, or a CSR matrix where there are many levels.
    """
    numbers, places = numbers_of(learned, values), places_of(learned, values)
    row, column = np.nonzero(places)
    hot = sparse.csr_matrix(
        (np.ones(len(row), dtype=np.float32), (row, places[row, column] - 1)),
        shape=(len(values), int(learned["levels"].sum())),
    )
    if hot.shape[1] <= MOST_DENSE:
        return np.hstack([numbers, hot.toarray()])
    return sparse.hstack([sparse.csr_matrix(numbers), hot], format="csr")
