"""The learned transform of one number column and the scalings that networks may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.kinds.number.interpolation import LinearInterpolator

MAX_QUANTILES = 1_000  # the default of scikit-learn's QuantileTransformer
HEAVY_TAIL_MIN_SKEW = 2.0  # the skewness of an exponential distribution
MIN_RELATIVE_RANGE = 1e-6  # a smaller range is rounding, and the column counts as constant
MIN_SCALE = 1e-100  # keeps the division by the scale finite
MAX_NORMAL_QUANTILE = 5.2  # the normal quantile of 1e-7, as in scikit-learn's QuantileTransformer
MAX_ABS_VALUE = 1e100  # as in fieldcraft.kinds.number, which imports this module
MAX_ABS_NETWORK_INPUT = 1e30  # sums of many such numbers are still finite in float32
CLIP_IQR_FACTOR = 8.0  # as in the check of outliers


@dataclass(frozen=True)
class NumberTransform:
    """The transform of one column, learned on the training rows.

    Attributes:
        scaling: ``quantile`` (to a normal distribution), ``standard``, ``robust``, ``minmax`` or
            ``none``.
        clip_low: lower bound of ``clip: auto``.
        clip_high: upper bound of ``clip: auto``.
        minimum: the smallest training value.
        maximum: the largest training value.
        fill_value: replaces missing values.
        has_missing: whether training rows have missing values.
        is_constant: whether all training values are equal, or nearly so.
        center: subtracted by linear scalings and in the copy of a heavy tail.
        scale: divided by after that.
        is_heavy_tailed: whether networks get a second, robustly scaled copy.
        knots: increasing knots of the quantile transform.
        normal_quantiles: the normal quantile of each knot.
    """

    scaling: str
    clip_low: float
    clip_high: float
    minimum: float
    maximum: float
    fill_value: float
    has_missing: bool
    is_constant: bool
    center: float
    scale: float
    is_heavy_tailed: bool = False
    knots: Array = field(default_factory=lambda: np.zeros(0))
    normal_quantiles: Array = field(default_factory=lambda: np.zeros(0))

    @cached_property
    def quantile_transform(self) -> LinearInterpolator:
        """The quantile transform; the grid of a heavy tail has equal cells after clipping."""
        return LinearInterpolator(
            self.knots,
            self.normal_quantiles,
            self.smooth_clip(self.knots) if self.is_heavy_tailed else None,
        )

    def smooth_clip(self, column: Array) -> Array:
        """Scale robustly and bend the tails smoothly towards 3.

        Holzmueller et al., *Better by Default* (RealMLP), NeurIPS 2024.
        """
        scaled = (column - self.center) / self.scale
        return np.asarray(scaled / np.hypot(1, scaled / 3))

    def compute_features(self, column: Array) -> list[Array]:
        """Features for networks: one array, two for a heavy tail, none if constant."""
        if self.is_constant:
            return []
        filled = np.where(np.isnan(column), self.fill_value, column)
        if self.scaling != "quantile":
            # Linear scalings are unbounded, and a network cannot extrapolate far: inputs reach at
            # most one training range below the minimum and above the maximum.
            clipped = np.clip(
                filled, 2 * self.minimum - self.maximum, 2 * self.maximum - self.minimum
            )
            return [
                np.clip(
                    (clipped - self.center) / self.scale,
                    -MAX_ABS_NETWORK_INPUT,
                    MAX_ABS_NETWORK_INPUT,
                )
            ]
        if not self.is_heavy_tailed:
            return [self.quantile_transform(filled)]
        clipped_tail = self.smooth_clip(filled)
        return [self.quantile_transform(filled, clipped_tail), clipped_tail]


def fit_number_transform(column: Array, options: Mapping[str, Any]) -> NumberTransform:
    """Learn the transform of a column from the training rows.

    Args:
        column: numbers, NaN where missing.
        options: ``impute``, ``scale`` and ``clip``, as in the project file.
    """
    present = column[~np.isnan(column)]
    scaling, impute = options.get("scale", "quantile"), options.get("impute", "median")
    has_missing = len(present) < len(column)
    if not len(present):
        fill_value = 0.0 if isinstance(impute, str) else float(impute)
        return NumberTransform(
            scaling,
            -MAX_ABS_VALUE,
            MAX_ABS_VALUE,
            0.0,
            0.0,
            fill_value,
            has_missing,
            True,
            0.0,
            1.0,
        )
    low, high = (
        compute_clip_bounds(present)
        if options.get("clip") == "auto"
        else (-MAX_ABS_VALUE, MAX_ABS_VALUE)
    )
    present = np.clip(present, low, high)
    fill_value = compute_fill_value(present, impute)
    minimum, maximum = float(present.min()), float(present.max())
    is_constant = maximum - minimum < MIN_RELATIVE_RANGE * max(1e-30, abs(minimum), abs(maximum))
    center, scale = compute_center_scale(present, scaling)
    number_transform = NumberTransform(
        scaling, low, high, minimum, maximum, fill_value, has_missing, is_constant, center, scale
    )
    return (
        add_quantile_knots(number_transform, present) if scaling == "quantile" else number_transform
    )


def compute_clip_bounds(present: Array) -> tuple[float, float]:
    """Bounds eight interquartile ranges beyond the quartiles; none if the quartiles are equal."""
    low, high = np.quantile(present, [0.25, 0.75])
    if high == low:
        return -MAX_ABS_VALUE, MAX_ABS_VALUE
    reach = CLIP_IQR_FACTOR * (high - low)
    return float(max(low - reach, -MAX_ABS_VALUE)), float(min(high + reach, MAX_ABS_VALUE))


def compute_fill_value(present: Array, impute: float | str) -> float:
    """The value that replaces missing ones; imputation by a model starts from the mean."""
    if not isinstance(impute, str):
        return float(impute)
    if impute == "mode":
        values, counts = np.unique(present, return_counts=True)
        return float(values[counts.argmax()])
    return float(np.median(present) if impute == "median" else present.mean())


def compute_center_scale(present: Array, scaling: str) -> tuple[float, float]:
    """Center and scale of a scaling; the robust ones for the quantile transform."""
    if scaling == "none":
        return 0.0, 1.0
    if scaling == "standard":
        center, scale = present.mean(), present.std()
    elif scaling == "minmax":
        center, scale = present.min(), np.ptp(present)
    else:
        low, center, high = np.quantile(present, [0.25, 0.5, 0.75])
        scale = high - low or np.ptp(present) / 2 or 1.0
    return float(center), max(float(scale), MIN_SCALE)


def add_quantile_knots(number_transform: NumberTransform, present: Array) -> NumberTransform:
    """Add the knots of the quantile transform."""
    # The rule of TabM's code: few rows get few quantiles, so that the transform is smooth.
    n_quantiles = int(max(min(len(present) // 30, MAX_QUANTILES), 10))
    probabilities = np.linspace(0, 1, n_quantiles)
    normal = NormalDist()
    clipped = np.clip(probabilities, 1e-7, 1 - 1e-7)
    normal_quantiles = np.array([normal.inv_cdf(probability) for probability in clipped])
    # Equal quantiles (of a value that many rows share) become one knot with their mean normal
    # quantile, since an interpolator needs increasing knots.
    knots, knot_index = np.unique(np.quantile(present, probabilities), return_inverse=True)
    mean_quantiles = np.bincount(knot_index, weights=normal_quantiles) / np.bincount(knot_index)
    std = present.std()
    skew = (((present - present.mean()) / std) ** 3).mean() if std > 0 else 0.0
    return replace(
        number_transform,
        is_heavy_tailed=bool(abs(skew) > HEAVY_TAIL_MIN_SKEW),
        knots=knots,
        normal_quantiles=np.clip(mean_quantiles, -MAX_NORMAL_QUANTILE, MAX_NORMAL_QUANTILE),
    )
