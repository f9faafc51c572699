"""Decide from probabilities: by the best threshold for a metric, or by the cost of errors."""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array

THRESHOLD_RULES = ("accuracy", "balanced_accuracy", "f1", "mcc")
MAX_CURVE_POINTS = 200  # thresholds of a plotted curve
ABOVE_ALL_PROBABILITIES = 1 + 1e-6  # above 1, and far enough to survive float32


def threshold_counts(
    is_positive: Array, score: Array, weights: Array | None = None
) -> tuple[Array, Array, Array]:
    """Distinct scores, highest first, with the weight of true and false positives at each."""
    weights = np.ones(len(score)) if weights is None else weights
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    true_positives, false_positives = (
        np.cumsum((weights * is_member)[order])[last_of_ties]
        for is_member in (is_positive, ~is_positive)
    )
    return score[order][last_of_ties], true_positives, false_positives


def threshold_metric(
    rule: str, tp: Array, fp: Array, n_positives: float, n_negatives: float
) -> Array:
    """A metric at each threshold, from its true and false positives; -inf where undefined."""
    fn, tn = n_positives - tp, n_negatives - fp
    with np.errstate(invalid="ignore", divide="ignore"):
        if rule == "accuracy":
            values = (tp + tn) / (tp + tn + fp + fn)
        elif rule == "balanced_accuracy":
            values = (tp / (tp + fn) + tn / (tn + fp)) / 2
        elif rule == "f1":
            values = 2 * tp / (2 * tp + fp + fn)
        else:
            values = (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.asarray(np.nan_to_num(values, nan=-np.inf))


def best_threshold(
    is_positive: Array, score: Array, rule: str, weights: Array | None = None
) -> float:
    """The threshold with the best value of a metric on these rows.

    It is halfway between two adjacent scores, or above all of them where predicting no positive is
    best; 0.5 where the metric is not defined, as without rows of one class.
    """
    if not 0 < is_positive.sum() < len(is_positive):
        return 0.5
    distinct_scores, true_positives, false_positives = threshold_counts(is_positive, score, weights)
    # The last candidate predicts no positive. argmax takes the first maximum, so ties go to the
    # candidates that predict some.
    metric_values = threshold_metric(
        rule,
        np.append(true_positives, 0),
        np.append(false_positives, 0),
        true_positives[-1],
        false_positives[-1],
    )
    upper, lower = (
        np.append(distinct_scores, ABOVE_ALL_PROBABILITIES),
        np.append(distinct_scores[1:], [0.0, distinct_scores[0]]),
    )
    best_index = int(metric_values.argmax())
    if not np.isfinite(metric_values[best_index]):
        return 0.5
    # Halfway between scores, as new rows fall between them too, and a packaged model whose
    # probabilities differ by rounding decides the same.
    return float((upper[best_index] + lower[best_index]) / 2)


def min_cost_decisions(probabilities: Array, costs: Array) -> Array:
    """The class with the least expected cost; costs have shape (true class, predicted class)."""
    return np.asarray((probabilities @ costs).argmin(axis=1))


def precision_recall_curve(
    is_positive: Array, score: Array, max_points: int = MAX_CURVE_POINTS
) -> list[dict[str, float]]:
    """Precision, recall and selection rate by threshold, thinned for plotting."""
    if not 0 < is_positive.sum() < len(is_positive):
        return []
    distinct_scores, true_positives, false_positives = threshold_counts(is_positive, score)
    indices = np.unique(np.linspace(0, len(distinct_scores) - 1, max_points).round().astype(int))
    return [
        {
            "threshold": float(distinct_scores[i]),
            "precision": float(true_positives[i] / (true_positives[i] + false_positives[i])),
            "recall": float(true_positives[i] / true_positives[-1]),
            "selection_rate": float((true_positives[i] + false_positives[i]) / len(score)),
        }
        for i in indices
    ]
