"""Choose what to decide from probabilities: by a metric, or by what mistakes cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
CHOSEN_BY = ("accuracy", "balanced_accuracy", "f1", "mcc")
MANY = 200  # thresholds drawn
BEYOND = 1 + 1e-6  # above every probability


def counts_at(
    positive: Array, score: Array, weights: Array | None = None
) -> tuple[Array, Array, Array]:
    """Distinct scores from the highest, and how many positives and negatives each finds."""
    weights = np.ones(len(score)) if weights is None else weights
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits, misses = (np.cumsum((weights * side)[order])[ends] for side in (positive, ~positive))
    return score[order][ends], hits, misses


def scores_at(rule: str, tp: Array, fp: Array, positives: float, negatives: float) -> Array:
    """A metric of the decisions at each threshold, from the positives and negatives it finds."""
    fn, tn = positives - tp, negatives - fp
    with np.errstate(invalid="ignore", divide="ignore"):
        if rule == "accuracy":
            found = (tp + tn) / (tp + tn + fp + fn)
        elif rule == "balanced_accuracy":
            found = (tp / (tp + fn) + tn / (tn + fp)) / 2
        elif rule == "f1":
            found = 2 * tp / (2 * tp + fp + fn)
        else:
            found = (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return np.asarray(np.nan_to_num(found, nan=-np.inf))


def best_threshold(positive: Array, score: Array, rule: str, weights: Array | None = None) -> float:
    """The threshold at which a metric of the decisions is best on these rows.

    It lies halfway between two neighbouring scores, or above all where nothing is best called
    positive; 0.5 where the metric is not defined, such as without rows of one class.
    """
    if not 0 < positive.sum() < len(positive):
        return 0.5
    found, hits, misses = counts_at(positive, score, weights)
    # The last candidate calls nothing positive; a tie goes to those that call something.
    scores = scores_at(rule, np.append(hits, 0), np.append(misses, 0), hits[-1], misses[-1])
    above, below = np.append(found, BEYOND), np.append(found[1:], [0.0, found[0]])
    best = int(scores.argmax())
    if not np.isfinite(scores[best]):
        return 0.5
    return float((above[best] + below[best]) / 2)


def by_costs(probabilities: Array, costs: Array) -> Array:
    """The class with the least expected cost; costs are (true class, decided class)."""
    return np.asarray((probabilities @ costs).argmin(axis=1))


def curve(positive: Array, score: Array, most: int = MANY) -> list[dict[str, float]]:
    """Precision, recall and share called positive by threshold, thinned for drawing."""
    if not 0 < positive.sum() < len(positive):
        return []
    found, hits, misses = counts_at(positive, score)
    kept = np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))
    return [
        {
            "threshold": float(found[i]),
            "precision": float(hits[i] / (hits[i] + misses[i])),
            "recall": float(hits[i] / hits[-1]),
            "called": float((hits[i] + misses[i]) / len(score)),
        }
        for i in kept
    ]
