"""Metrics as functions of row weights, so that a thousand resamples cost one call.

Every metric takes the true target, what the model says and weights of shape (resamples, rows),
and returns one value per resample. Class targets are indexes into the classes, label targets
0 or 1 of shape (rows, labels). Binary metrics take the second class as the positive one. Where a
metric is not defined on a resample (one class missing, no weight at all), its value is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SMALLEST = 1e-15  # probabilities are kept this far from 0 and 1 before a logarithm
BINS = 10  # of the calibration error


@dataclass(frozen=True)
class Said:
    """What a model says about rows, in the forms that metrics read.

    Attributes:
        outputs: probabilities (rows, classes) or (rows, labels), or values (rows, 1).
        decisions: class indexes (rows,), labels 0 or 1 (rows, labels), or values (rows,).
        regions: what holds the truth at the stated coverage: which classes (rows, classes),
            which labels may be either way (rows, labels, 2), or low and high (rows, 2).
        coverage: share of rows that the regions are to hold.
        accepted: whether the model is sure enough of each row to answer (rows,); None where it
            always answers.
    """

    outputs: Array
    decisions: Array
    regions: Array
    coverage: float = 0.9
    accepted: Array | None = None

    def at(self, rows: Array) -> Said:
        """What is said about some of the rows."""
        accepted = None if self.accepted is None else self.accepted[rows]
        parts = (self.outputs[rows], self.decisions[rows], self.regions[rows])
        return Said(*parts, self.coverage, accepted)


def together(said: Sequence[Said]) -> Said:
    """What was said about several sets of rows, one after the other."""
    outputs, decisions, regions = (
        np.concatenate([getattr(part, name) for part in said])
        for name in ("outputs", "decisions", "regions")
    )
    accepted = [part.accepted for part in said if part.accepted is not None]
    sure = np.concatenate(accepted) if accepted else None
    return Said(outputs, decisions, regions, said[0].coverage, sure)


@dataclass(frozen=True)
class Metric:
    """A named measure of how good predictions are.

    Attributes:
        name: in the project file and the ledger.
        title: as people say it.
        greater_is_better: whether it is.
        values: the metric.
        unit: of the figure.
        inflated: whether resamples show more of it than the rows have, as they do of gaps that
            chance alone opens; its interval is then moved by that much.
    """

    name: str
    title: str
    greater_is_better: bool
    values: Callable[[Array, Said, Array], Array]
    unit: str = ""
    inflated: bool = False


def ratio(above: Array, below: Array) -> Array:
    """A quotient, NaN where it is not defined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above / below, dtype=np.float64)


def mean(per_row: Array, weights: Array) -> Array:
    """Weighted mean of a figure per row."""
    return ratio(weights @ per_row.astype(np.float64), weights.sum(axis=1))


def mean_of_defined(figures: Array) -> Array:
    """Mean over the first axis of the figures that are defined; NaN where none is."""
    there = np.isfinite(figures)
    return ratio(np.where(there, figures, 0).sum(axis=0), there.sum(axis=0))


def ranked(positive: Array, score: Array, weights: Array) -> tuple[Array, Array]:
    """Weights of positives and negatives at and above each distinct score, highest first."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    ordered = weights[:, order].astype(np.float64)
    hits = np.cumsum(ordered * positive[order], axis=1)[:, ends]
    misses = np.cumsum(ordered, axis=1)[:, ends] - hits
    return hits, misses


def area_under_roc(positive: Array, score: Array, weights: Array) -> Array:
    """Chance that a positive row is ranked above a negative one, ties counting half."""
    hits, misses = ranked(positive, score, weights)
    start = np.zeros((len(weights), 1))
    area = np.trapezoid(np.hstack([start, hits]), np.hstack([start, misses]), axis=1)
    return ratio(area, hits[:, -1] * misses[:, -1])


def mean_precision(positive: Array, score: Array, weights: Array) -> Array:
    """Area under the precision-recall curve, summed step by step (average precision)."""
    hits, misses = ranked(positive, score, weights)
    steps = np.diff(np.hstack([np.zeros((len(weights), 1)), hits]), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num(hits / (hits + misses))
    return ratio((steps * share).sum(axis=1), hits[:, -1])


def calibration_gap(confidence: Array, right: Array, weights: Array) -> Array:
    """Mean gap between predicted and observed frequency over ten bins of about equal count.

    Expected calibration error (Naeini et al., AAAI 2015); bins are those of the rows as they are.
    """
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, BINS + 1)[1:-1]))
    place = np.searchsorted(edges, confidence, side="right")
    bins = np.eye(len(edges) + 1)[place]
    gaps = weights @ (bins * (confidence - right)[:, None])
    return ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))
