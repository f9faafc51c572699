"""Choose what to decide from probabilities: by a metric, or by what mistakes cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
CHOSEN_BY = ("accuracy", "balanced_accuracy", "f1", "mcc")
MANY = 200  # thresholds drawn


def counts_at(positive: Array, score: Array) -> tuple[Array, Array, Array]:
    """Distinct scores from the highest, and how many positives and negatives each finds."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(positive[order])[ends].astype(np.float64)
    return score[order][ends], hits, ends + 1.0 - hits


def scores_at(rule: str, hits: Array, misses: Array) -> Array:
    """A metric of the decisions at each threshold."""
    tp, fp = hits, misses
    fn, tn = hits[-1] - hits, misses[-1] - misses
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


def best_threshold(positive: Array, score: Array, rule: str) -> float:
    """The threshold at which a metric of the decisions is best on these rows.

    It lies halfway between two neighbouring scores; 0.5 where one class has no rows.
    """
    if not 0 < positive.sum() < len(positive):
        return 0.5
    found, hits, misses = counts_at(positive, score)
    best = int(scores_at(rule, hits, misses).argmax())
    below = found[best + 1] if best + 1 < len(found) else 0.0
    return float((found[best] + below) / 2)


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
