"""Metrics as functions of row weights, so that a thousand resamples cost one call.

Every metric takes the true target, what the model says and weights of shape (resamples, rows),
and returns one value per resample. Class targets are indexes into the classes, label targets
0 or 1 of shape (rows, labels). Binary metrics take the second class as the positive one. Where a
metric is not defined on a resample (one class missing, no weight at all), its value is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array

MIN_PROBABILITY = 1e-15  # probabilities are kept this far from 0 and 1 before a logarithm
N_CALIBRATION_BINS = 10  # of the calibration error


@dataclass(frozen=True)
class Predictions:
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

    def select_rows(self, rows: Array) -> Predictions:
        """What is said about some of the rows."""
        accepted = None if self.accepted is None else self.accepted[rows]
        parts = (self.outputs[rows], self.decisions[rows], self.regions[rows])
        return Predictions(*parts, self.coverage, accepted)


def concat_predictions(parts: Sequence[Predictions]) -> Predictions:
    """What was said about several sets of rows, one after the other."""
    outputs, decisions, regions = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("outputs", "decisions", "regions")
    )
    accepted_parts = [part.accepted for part in parts if part.accepted is not None]
    accepted = np.concatenate(accepted_parts) if accepted_parts else None
    return Predictions(outputs, decisions, regions, parts[0].coverage, accepted)


@dataclass(frozen=True)
class Metric:
    """A named measure of how good predictions are.

    Attributes:
        name: in the project file and the ledger.
        title: as people say it.
        greater_is_better: whether it is.
        compute: the metric.
        unit: of the figure.
        is_biased_upwards: whether resamples show more of it than the rows have, as they do of gaps that
            chance alone opens; its interval is then moved by that much.
    """

    name: str
    title: str
    greater_is_better: bool
    compute: Callable[[Array, Predictions, Array], Array]
    unit: str = ""
    is_biased_upwards: bool = False


def safe_divide(numerator: Array, denominator: Array) -> Array:
    """A quotient, NaN where it is not defined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(numerator / denominator, dtype=np.float64)


def weighted_mean(per_row: Array, weights: Array) -> Array:
    """Weighted mean of a figure per row."""
    return safe_divide(weights @ per_row.astype(np.float64), weights.sum(axis=1))


def nanmean_over_first_axis(values: Array) -> Array:
    """Mean over the first axis of the figures that are defined; NaN where none is."""
    is_defined = np.isfinite(values)
    return safe_divide(np.where(is_defined, values, 0).sum(axis=0), is_defined.sum(axis=0))


def cumulative_counts(positive: Array, score: Array, weights: Array) -> tuple[Array, Array]:
    """Weights of positives and negatives at and above each distinct score, highest first."""
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    sorted_weights = weights[:, order].astype(np.float64)
    true_positives = np.cumsum(sorted_weights * positive[order], axis=1)[:, last_of_ties]
    false_positives = np.cumsum(sorted_weights, axis=1)[:, last_of_ties] - true_positives
    return true_positives, false_positives


def binary_roc_auc(positive: Array, score: Array, weights: Array) -> Array:
    """Chance that a positive row is ranked above a negative one, ties counting half."""
    true_positives, false_positives = cumulative_counts(positive, score, weights)
    start = np.zeros((len(weights), 1))
    area = np.trapezoid(
        np.hstack([start, true_positives]), np.hstack([start, false_positives]), axis=1
    )
    return safe_divide(area, true_positives[:, -1] * false_positives[:, -1])


def binary_average_precision(positive: Array, score: Array, weights: Array) -> Array:
    """Area under the precision-recall curve, summed step by step (average precision)."""
    true_positives, false_positives = cumulative_counts(positive, score, weights)
    recall_steps = np.diff(np.hstack([np.zeros((len(weights), 1)), true_positives]), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(true_positives / (true_positives + false_positives))
    return safe_divide((recall_steps * precision).sum(axis=1), true_positives[:, -1])


def expected_calibration_error(confidence: Array, is_event: Array, weights: Array) -> Array:
    """Mean gap between predicted and observed frequency over ten bins of about equal count.

    Expected calibration error (Naeini et al., AAAI 2015); bins are those of the rows as they are.
    """
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, N_CALIBRATION_BINS + 1)[1:-1]))
    bin_indices = np.searchsorted(edges, confidence, side="right")
    bin_indicators = np.eye(len(edges) + 1)[bin_indices]
    gaps = weights @ (bin_indicators * (confidence - is_event)[:, None])
    return safe_divide(np.abs(gaps).sum(axis=1), weights.sum(axis=1))
