"""Metrics as functions of row weights, so that one call covers a thousand resamples.

Every metric takes the true target, predictions and weights of shape (resamples, rows), and returns
one value per resample. Class targets are class indexes (rows,), label targets 0 or 1 of shape
(rows, labels). The second class is the positive one of binary metrics. A metric that is not defined
on a resample (a class without rows, no weight at all) is NaN there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array

MIN_PROBABILITY = 1e-15  # to which probabilities are clipped before a logarithm
N_CALIBRATION_BINS = 10  # of the expected calibration error


@dataclass(frozen=True)
class Predictions:
    """The predictions of a model for some rows.

    Attributes:
        outputs: probabilities (rows, classes) or (rows, labels), or values (rows, 1).
        decisions: class indexes (rows,), labels 0 or 1 (rows, labels), or values (rows,).
        regions: prediction sets or intervals: whether each class is in the set (rows, classes),
            whether each label may be 0 and may be 1 (rows, labels, 2), or low and high (rows, 2).
        coverage: target coverage of the regions, a fraction of the rows.
        accepted: whether the model is confident enough to answer (rows,); None where it always
            answers.
    """

    outputs: Array
    decisions: Array
    regions: Array
    coverage: float = 0.9
    accepted: Array | None = None

    def select_rows(self, rows: Array) -> Predictions:
        """The predictions for some of the rows, by index or mask."""
        accepted = None if self.accepted is None else self.accepted[rows]
        parts = (self.outputs[rows], self.decisions[rows], self.regions[rows])
        return Predictions(*parts, self.coverage, accepted)


def concat_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Concatenate the predictions for several sets of rows, which share one target coverage."""
    outputs, decisions, regions = (
        np.concatenate([getattr(part, name) for part in parts])
        for name in ("outputs", "decisions", "regions")
    )
    accepted_parts = [part.accepted for part in parts if part.accepted is not None]
    accepted = np.concatenate(accepted_parts) if accepted_parts else None
    return Predictions(outputs, decisions, regions, parts[0].coverage, accepted)


@dataclass(frozen=True)
class Metric:
    """A metric of predictions.

    Attributes:
        name: in the project file and the ledger.
        title: in reports.
        greater_is_better: the direction of the metric.
        compute: from the target, predictions and weights (resamples, rows) to (resamples,).
        unit: ``target`` for the unit of the target, else none.
        is_biased_upwards: whether resamples overstate it, as they do gaps that arise by chance;
            `percentile_interval` then corrects the bias.
    """

    name: str
    title: str
    greater_is_better: bool
    compute: Callable[[Array, Predictions, Array], Array]
    unit: str = ""
    is_biased_upwards: bool = False


def safe_divide(numerator: Array, denominator: Array) -> Array:
    """A quotient, NaN where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(numerator / denominator, dtype=np.float64)


def weighted_mean(per_row: Array, weights: Array) -> Array:
    """Weighted mean of a value per row, shape (resamples,)."""
    return safe_divide(weights @ per_row.astype(np.float64), weights.sum(axis=1))


def nanmean_over_first_axis(values: Array) -> Array:
    """Mean over the first axis of the finite values; NaN where there is none."""
    is_defined = np.isfinite(values)
    return safe_divide(np.where(is_defined, values, 0).sum(axis=0), is_defined.sum(axis=0))


def cumulative_counts(positive: Array, score: Array, weights: Array) -> tuple[Array, Array]:
    """Weight of positives and negatives at and above each distinct score, highest first.

    Returns:
        True and false positives of each threshold, both (resamples, distinct scores).
    """
    order = np.argsort(-score, kind="stable")
    # Tied scores are one threshold: any order within a tie would be arbitrary, and would change
    # the areas under the curves.
    last_of_ties = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    sorted_weights = weights[:, order].astype(np.float64)
    true_positives = np.cumsum(sorted_weights * positive[order], axis=1)[:, last_of_ties]
    false_positives = np.cumsum(sorted_weights, axis=1)[:, last_of_ties] - true_positives
    return true_positives, false_positives


def binary_roc_auc(positive: Array, score: Array, weights: Array) -> Array:
    """Probability that a positive row has a higher score than a negative one; ties count half."""
    true_positives, false_positives = cumulative_counts(positive, score, weights)
    start = np.zeros((len(weights), 1))
    area = np.trapezoid(
        np.hstack([start, true_positives]), np.hstack([start, false_positives]), axis=1
    )
    return safe_divide(area, true_positives[:, -1] * false_positives[:, -1])


def binary_average_precision(positive: Array, score: Array, weights: Array) -> Array:
    """Average precision: precision summed over the steps of recall.

    Not the trapezoidal area, which is too optimistic (Davis & Goadrich, ICML 2006).
    """
    true_positives, false_positives = cumulative_counts(positive, score, weights)
    recall_steps = np.diff(np.hstack([np.zeros((len(weights), 1)), true_positives]), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.nan_to_num(true_positives / (true_positives + false_positives))
    return safe_divide((recall_steps * precision).sum(axis=1), true_positives[:, -1])


def expected_calibration_error(confidence: Array, is_event: Array, weights: Array) -> Array:
    """Mean gap between predicted and observed frequency over ten bins of about equal count.

    Naeini et al., *Obtaining Well Calibrated Probabilities Using Bayesian Binning*, AAAI 2015.
    """
    # All resamples share the bins of the rows: bins of their own would take a sort for each.
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, N_CALIBRATION_BINS + 1)[1:-1]))
    bin_indices = np.searchsorted(edges, confidence, side="right")
    bin_indicators = np.eye(len(edges) + 1)[bin_indices]
    gaps = weights @ (bin_indicators * (confidence - is_event)[:, None])
    return safe_divide(np.abs(gaps).sum(axis=1), weights.sum(axis=1))
