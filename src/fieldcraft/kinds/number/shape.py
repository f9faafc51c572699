"""What is learned of one column of numbers, and the scales that networks may see it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np

from fieldcraft.contracts import Array
from fieldcraft.kinds.number.curve import Curve

MOST_QUANTILES = 1_000
HEAVY_SKEW = 2.0
SMALLEST_RANGE = 1e-6
SMALLEST_SPREAD = 1e-100
FARTHEST = 5.2  # the normal quantile of 1e-7, where the transform ends
ENDS = 1e100  # where numbers stop anyway
LARGEST = 1e30  # of what a network sees: sums of many such numbers are still 32-bit floats
FAR_OUT = 8.0  # interquartile ranges from the quartiles, of `clip: auto`


@dataclass(frozen=True)
class Shape:
    """What was learned of one column on training rows.

    Attributes:
        scale: ``quantile`` (to a normal shape), ``standard``, ``robust``, ``minmax``, ``none``.
        low: values below it count as it, with ``clip: auto``.
        high: values above it count as it.
        least: the smallest value.
        most: the largest value.
        fill: what stands for a missing value.
        has_missing: whether training rows miss values.
        flat: whether the column is the same in all training rows, or nearly so.
        centre: what is taken off, on a linear scale and in the copy of a heavy tail.
        spread: what is divided by there.
        heavy: whether the column comes a second time, robustly scaled.
        values: knots of the quantile transform, increasing.
        normals: the normal quantile of each knot.
    """

    scale: str
    low: float
    high: float
    least: float
    most: float
    fill: float
    has_missing: bool
    flat: bool
    centre: float
    spread: float
    heavy: bool = False
    values: Array = field(default_factory=lambda: np.zeros(0))
    normals: Array = field(default_factory=lambda: np.zeros(0))

    @cached_property
    def curve(self) -> Curve:
        """The quantile transform."""
        return Curve(self.values, self.normals, self.bent(self.values) if self.heavy else None)

    def bent(self, column: Array) -> Array:
        """The column robustly scaled, its tails bent smoothly towards 3 (RealMLP, 2024)."""
        scaled = (column - self.centre) / self.spread
        return np.asarray(scaled / np.hypot(1, scaled / 3))

    def features(self, column: Array) -> list[Array]:
        """What networks see of values: one array, two for a heavy tail, none if it is flat."""
        if self.flat:
            return []
        filled = np.where(np.isnan(column), self.fill, column)
        if self.scale != "quantile":
            # A straight line never ends; a network is led one training range beyond it at most.
            inside = np.clip(filled, 2 * self.least - self.most, 2 * self.most - self.least)
            return [np.clip((inside - self.centre) / self.spread, -LARGEST, LARGEST)]
        if not self.heavy:
            return [self.curve(filled)]
        bent = self.bent(filled)
        return [self.curve(filled, bent), bent]


def learn_shape(column: Array, options: Mapping[str, Any]) -> Shape:
    """Learn a column from training rows.

    Args:
        column: numbers, NaN where missing.
        options: ``impute``, ``scale`` and ``clip``, as in the project file.
    """
    there = column[~np.isnan(column)]
    scale, impute = options.get("scale", "quantile"), options.get("impute", "median")
    has_missing = len(there) < len(column)
    if not len(there):
        fill = 0.0 if isinstance(impute, str) else float(impute)
        return Shape(scale, -ENDS, ENDS, 0.0, 0.0, fill, has_missing, True, 0.0, 1.0)
    low, high = far_out(there) if options.get("clip") == "auto" else (-ENDS, ENDS)
    there = np.clip(there, low, high)
    fill = fill_of(there, impute)
    least, most = float(there.min()), float(there.max())
    flat = most - least < SMALLEST_RANGE * max(1e-30, abs(least), abs(most))
    centre, spread = linear_scale(there, scale)
    shape = Shape(scale, low, high, least, most, fill, has_missing, flat, centre, spread)
    return with_quantiles(shape, there) if scale == "quantile" else shape


def far_out(there: Array) -> tuple[float, float]:
    """Eight interquartile ranges around the middle half; the ends of all numbers if it is one."""
    low, high = np.quantile(there, [0.25, 0.75])
    if high == low:
        return -ENDS, ENDS
    reach = FAR_OUT * (high - low)
    return float(max(low - reach, -ENDS)), float(min(high + reach, ENDS))


def fill_of(there: Array, impute: float | str) -> float:
    """What stands for a missing value; imputation by a model starts from the mean."""
    if not isinstance(impute, str):
        return float(impute)
    if impute == "mode":
        values, counts = np.unique(there, return_counts=True)
        return float(values[counts.argmax()])
    return float(np.median(there) if impute == "median" else there.mean())


def linear_scale(there: Array, scale: str) -> tuple[float, float]:
    """What is taken off and what is divided by; the robust ones for the quantile transform."""
    if scale == "none":
        return 0.0, 1.0
    if scale == "standard":
        centre, spread = there.mean(), there.std()
    elif scale == "minmax":
        centre, spread = there.min(), np.ptp(there)
    else:
        low, centre, high = np.quantile(there, [0.25, 0.5, 0.75])
        spread = high - low or np.ptp(there) / 2 or 1.0
    return float(centre), max(float(spread), SMALLEST_SPREAD)


def with_quantiles(shape: Shape, there: Array) -> Shape:
    """A shape with the quantile transform of its column."""
    count = int(max(min(len(there) // 30, MOST_QUANTILES), 10))
    shares = np.linspace(0, 1, count)
    normal = NormalDist()
    inside = np.clip(shares, 1e-7, 1 - 1e-7)
    normals = np.array([normal.inv_cdf(share) for share in inside])
    # Equal quantiles (a value that many rows share) become one knot with their mean position.
    values, where = np.unique(np.quantile(there, shares), return_inverse=True)
    means = np.bincount(where, weights=normals) / np.bincount(where)
    deviation = there.std()
    skew = (((there - there.mean()) / deviation) ** 3).mean() if deviation > 0 else 0.0
    heavy, ends = bool(abs(skew) > HEAVY_SKEW), np.clip(means, -FARTHEST, FARTHEST)
    return replace(shape, heavy=heavy, values=values, normals=ends)
