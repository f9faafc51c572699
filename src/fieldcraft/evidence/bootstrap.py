"""Intervals and paired tests by resampling rows, vectorised over the resamples.

Efron & Tibshirani, *An Introduction to the Bootstrap*, 1993 (percentile intervals, paired
differences on the same resamples).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Name = TypeVar("Name", bound=Hashable)

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


@dataclass(frozen=True)
class Draw:
    """How rows are drawn; equal draws give equal resamples, so that results pair up.

    Attributes:
        rows: how many there are.
        seed: of the drawing.
        units: rows of the same unit (a person, a stretch of time) are drawn together, shape
            (rows,); every row by itself if None.
        weights: how much each row counts, shape (rows,); all the same if None.
        resamples: how many to draw.
    """

    rows: int
    seed: int
    units: Array | None = None
    weights: Array | None = None
    resamples: int = RESAMPLES

    def chunks(self) -> Iterator[Array]:
        """Weights of the rows as they are, (1, rows), then of all resamples, some at a time."""
        own = np.ones(self.rows) if self.weights is None else self.weights / self.weights.mean()
        base = own.astype(np.float32)
        yield base[None, :]
        generator = np.random.default_rng(self.seed)
        codes = None if self.units is None else np.unique(self.units, return_inverse=True)[1]
        count = self.rows if codes is None else int(codes.max()) + 1
        size = max(1, min(self.resamples, CHUNK_CELLS // max(self.rows, 1)))
        for start in range(0, self.resamples, size):
            lots = min(size, self.resamples - start)
            drawn = generator.integers(0, count, size=(lots, count))
            drawn += count * np.arange(lots)[:, None]
            times = np.bincount(drawn.ravel(), minlength=lots * count).reshape(lots, count)
            times = times.astype(np.float32)
            yield base * (times if codes is None else times[:, codes])


Statistic = Callable[[Array], Array]


def resample(statistics: Mapping[Name, Statistic], draw: Draw) -> dict[Name, Array]:
    """Each statistic on the rows as they are, followed by its values on the resamples.

    Args:
        statistics: by name; each maps row weights, shape (resamples, rows), to (resamples,).
        draw: how rows are drawn. The resamples are the same for all statistics.
    """
    values: dict[Name, list[Array]] = {name: [] for name in statistics}
    for weights in draw.chunks():
        for name, statistic in statistics.items():
            values[name].append(statistic(weights))
    return {name: np.concatenate(parts) for name, parts in values.items()}


def interval(values: Array, level: float = LEVEL, inflated: bool = False) -> Interval:
    """Percentile interval from what `resample` returned, undefined values left out.

    Args:
        values: the figure on the rows as they are, then on each resample.
        level: how often such intervals hold the truth.
        inflated: whether resamples show more of a figure that is never below 0 than there is; the
            interval is then moved by the bias (Efron & Tibshirani 1993, chapter 10).
    """
    drawn = values[1:][np.isfinite(values[1:])]
    if not len(drawn):
        return Interval(float(values[0]), float("nan"), float("nan"), level)
    ends = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    if inflated:
        ends = np.maximum(ends - max(drawn.mean() - values[0], 0.0), 0.0)
    return Interval(float(values[0]), float(ends[0]), float(ends[1]), level)


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
