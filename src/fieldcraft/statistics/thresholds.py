"""Choose what to decide from probabilities: by a metric, or by what mistakes cost."""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array

THRESHOLD_RULES = ("accuracy", "balanced_accuracy", "f1", "mcc")
MAX_CURVE_POINTS = 200  # thresholds drawn
ABOVE_ALL_PROBABILITIES = 1 + 1e-6  # above every probability


def threshold_counts(
    is_positive: Array, score: Array, weights: Array | None = None
) -> tuple[Array, Array, Array]:
    """Distinct scores from the highest, and how many positives and negatives each finds."""
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
    """A metric of the decisions at each threshold, from the positives and negatives it finds."""
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
    """The threshold at which a metric of the decisions is best on these rows.

    It lies halfway between two neighbouring scores, or above all where nothing is best called
    positive; 0.5 where the metric is not defined, such as without rows of one class.
    """
    if not 0 < is_positive.sum() < len(is_positive):
        return 0.5
    distinct_scores, true_positives, false_positives = threshold_counts(is_positive, score, weights)
    # The last candidate calls nothing positive; a tie goes to those that call something.
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
    return float((upper[best_index] + lower[best_index]) / 2)


def min_cost_decisions(probabilities: Array, costs: Array) -> Array:
    """The class with the least expected cost; costs are (true class, decided class)."""
    return np.asarray((probabilities @ costs).argmin(axis=1))


def precision_recall_curve(
    is_positive: Array, score: Array, max_points: int = MAX_CURVE_POINTS
) -> list[dict[str, float]]:
    """Precision, recall and share called positive by threshold, thinned for drawing."""
    if not 0 < is_positive.sum() < len(is_positive):
        return []
    distinct_scores, true_positives, false_positives = threshold_counts(is_positive, score)
    indices = np.unique(np.linspace(0, len(distinct_scores) - 1, max_points).round().astype(int))
    return [
        {
            "threshold": float(distinct_scores[i]),
            "precision": float(true_positives[i] / (true_positives[i] + false_positives[i])),
            "recall": float(true_positives[i] / true_positives[-1]),
            "called": float((true_positives[i] + false_positives[i]) / len(score)),
        }
        for i in indices
    ]
