"""Sets and intervals that hold the truth at a stated rate, whatever the model.

Split conformal prediction (Vovk et al., *Algorithmic Learning in a Random World*, 2005): rows like
those of the tune part are covered at the stated rate on average, not each kind of row by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
ROWS_A_BIN = 200  # tune rows for each width of interval
MOST_BINS = 10
SLACK = 1e-6  # of a probability: a packaged model's may be off by that, and ties are common
ROUNDING = 1e-9  # of a rank


def quantile(scores: Array, coverage: float, weights: Array | None = None) -> float:
    """The score that a new row's does not exceed at the stated rate; infinite if rows are few.

    Rows may weigh more or less (Tibshirani et al., *Conformal Prediction Under Covariate Shift*,
    NeurIPS 2019); the new row weighs as much as they do on average.
    """
    if not len(scores):
        return float("inf")
    weights = np.ones(len(scores)) if weights is None else weights / weights.mean()
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    at = int(np.searchsorted(reached, (len(scores) + 1) * coverage - ROUNDING))
    return float(scores[order[at]]) if at < len(scores) else float("inf")


def class_limit(
    probabilities: Array, y: Array, coverage: float, weights: Array | None = None
) -> float:
    """The probability that a class must have to be in the set (Sadinle et al., JASA 2019)."""
    return max(-quantile(-probabilities[np.arange(len(y)), y], coverage, weights), 0.0)


def class_sets(probabilities: Array, limit: float) -> Array:
    """Which classes are in the set of each row; the likeliest always is. (rows, classes)."""
    found = probabilities >= limit - SLACK
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return np.asarray(found)


def label_limits(
    probabilities: Array, y: Array, coverage: float, weights: Array | None = None
) -> list[float]:
    """For each label the probability that "yes", or else "no", must have to be left open."""
    true = np.where(y == 1, probabilities, 1 - probabilities)
    return [max(-quantile(-column, coverage, weights), 0.0) for column in true.T]


def label_sets(probabilities: Array, limits: list[float]) -> Array:
    """Whether each label may be absent, and present; what is likelier always may.

    Shape (rows, labels, 2).
    """
    both = np.stack([1 - probabilities, probabilities], axis=2)
    open_ = both >= np.asarray(limits)[None, :, None] - SLACK
    return np.asarray(open_ | (both >= 0.5))


def interval_widths(
    predicted: Array, y: Array, coverage: float, weights: Array | None = None
) -> dict[str, list[float]]:
    """Half the width of the interval by predicted value: wide where the model errs much.

    Bins of the predicted value (Mondrian conformal prediction) as far as rows allow.
    """
    edges = edges_of(predicted, int(np.clip(len(y) // ROWS_A_BIN, 1, MOST_BINS)))
    place = np.searchsorted(edges, predicted, side="right")
    misses = np.abs(predicted - y)
    counted = np.ones(len(y)) if weights is None else weights
    pieces = [place == number for number in range(len(edges) + 1)]
    widths = [quantile(misses[piece], coverage, counted[piece]) for piece in pieces]
    widest = float(misses.max(initial=0.0)) * 2  # where rows are too few for a finite width
    return {
        "edges": [float(edge) for edge in edges],
        "widths": [width if np.isfinite(width) else widest for width in widths],
    }


def edges_of(predicted: Array, bins: int) -> Array:
    """Where bins of about equal count meet: between two predicted values, never on one."""
    if not len(predicted):
        return np.zeros(0)
    values = np.unique(predicted)
    cuts = np.quantile(predicted, np.linspace(0, 1, bins + 1)[1:-1])
    upper = np.unique(np.searchsorted(values, cuts))
    upper = upper[upper > 0]
    return np.asarray((values[upper - 1] + values[upper]) / 2)


def intervals(predicted: Array, found: dict[str, list[float]]) -> Array:
    """Low and high end for each predicted value, shape (rows, 2)."""
    place = np.searchsorted(found["edges"], predicted, side="right")
    half = np.asarray(found["widths"])[place]
    return np.stack([predicted - half, predicted + half], axis=1)
