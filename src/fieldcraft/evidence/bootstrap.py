"""Intervals and paired tests by resampling rows, vectorised over the resamples.

Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993 (percentile intervals, paired
differences on the same resamples).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

RESAMPLES = 1_000
LEVEL = 0.95
CHUNK_CELLS = 4_000_000  # weights held in memory at once


@dataclass(frozen=True)
class Interval:
    """An estimate with the interval that holds it at the stated level."""

    value: float
    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True)
class Comparison:
    """How much better A is than B, on the same resamples of the same rows.

    A positive difference means that A is better, whatever the direction of the metric.
    """

    difference: float
    low: float
    high: float
    p_value: float

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` if the interval leaves out zero, else ``level``."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "level"


def resample(
    statistic: Callable[[Array], Array],
    rows: int,
    seed: int,
    groups: Array | None = None,
    resamples: int = RESAMPLES,
) -> Array:
    """The statistic on the rows as they are, followed by its values on resamples.

    Args:
        statistic: maps row weights, shape (resamples, rows), to values of shape (resamples, ...).
        rows: number of rows.
        seed: of the resampling; equal seeds give equal resamples, so that results pair up.
        groups: whole groups are drawn instead of rows if given, shape (rows,).
        resamples: how many to draw.
    """
    generator = np.random.default_rng(seed)
    values = [statistic(np.ones((1, rows), dtype=np.float32))]
    codes = np.unique(groups, return_inverse=True)[1] if groups is not None else None
    units = int(codes.max()) + 1 if codes is not None else rows
    chunk = max(1, min(resamples, CHUNK_CELLS // max(rows, 1)))
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        drawn = generator.integers(0, units, size=(count, units))
        drawn += units * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * units).reshape(count, units)
        weights = weights.astype(np.float32)
        values.append(statistic(weights[:, codes] if codes is not None else weights))
    return np.concatenate(values)


def interval(values: Array, level: float = LEVEL) -> Interval:
    """Percentile interval from what `resample` returned, undefined values left out."""
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn):
        return Interval(float(values[0]), float("nan"), float("nan"), level)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(values[0]), float(low), float(high), level)


def compare(a: Array, b: Array, greater_is_better: bool, level: float = LEVEL) -> Comparison:
    """Compare two models by what `resample` returned for each with the same seed.

    The p-value is two-sided: twice the share of resamples on the far side of zero, with one
    added to both counts (Davison & Hinkley 1997, section 4.2.2).
    """
    differences = (a - b) if greater_is_better else (b - a)
    drawn = differences[1:][np.isfinite(differences[1:])]
    if not len(drawn):
        return Comparison(float(differences[0]), float("nan"), float("nan"), 1.0)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p_value = min(1.0, 2 * (tail + 1) / (len(drawn) + 1))
    return Comparison(float(differences[0]), float(low), float(high), float(p_value))
