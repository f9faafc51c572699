"""Sets and intervals that hold the truth at a stated rate, whatever the model.

Split conformal prediction (Vovk et al., *Algorithmic Learning in a Random World*, 2005): rows like
those of the tune part are covered at the stated rate on average, not each kind of row by itself.
"""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array

MIN_ROWS_PER_BIN = 200  # tune rows for each width of interval
MAX_BINS = 10
PROBABILITY_TOLERANCE = (
    1e-6  # of a probability: a packaged model's may be off by that, and ties are common
)
RANK_TOLERANCE = 1e-9  # of a rank


def conformal_quantile(scores: Array, coverage: float, weights: Array | None = None) -> float:
    """The score that a new row's does not exceed at the stated rate; infinite if rows are few.

    Rows may weigh more or less (Tibshirani et al., *Conformal Prediction Under Covariate Shift*,
    NeurIPS 2019); the new row weighs as much as they do on average.
    """
    if not len(scores):
        return float("inf")
    weights = np.ones(len(scores)) if weights is None else weights / weights.mean()
    order = np.argsort(scores, kind="stable")
    cumulative_weights = np.cumsum(weights[order])
    index = int(np.searchsorted(cumulative_weights, (len(scores) + 1) * coverage - RANK_TOLERANCE))
    return float(scores[order[index]]) if index < len(scores) else float("inf")


def class_set_threshold(
    probabilities: Array, y: Array, coverage: float, weights: Array | None = None
) -> float:
    """The probability that a class must have to be in the set (Sadinle et al., JASA 2019)."""
    return max(-conformal_quantile(-probabilities[np.arange(len(y)), y], coverage, weights), 0.0)


def class_prediction_sets(probabilities: Array, threshold: float) -> Array:
    """Which classes are in the set of each row; the likeliest always is. (rows, classes)."""
    is_member = probabilities >= threshold - PROBABILITY_TOLERANCE
    is_member[np.arange(len(is_member)), probabilities.argmax(axis=1)] = True
    return np.asarray(is_member)


def label_set_thresholds(
    probabilities: Array, y: Array, coverage: float, weights: Array | None = None
) -> list[float]:
    """For each label the probability that "yes", or else "no", must have to be left open."""
    true_probability = np.where(y == 1, probabilities, 1 - probabilities)
    return [
        max(-conformal_quantile(-column, coverage, weights), 0.0) for column in true_probability.T
    ]


def label_prediction_sets(probabilities: Array, thresholds: list[float]) -> Array:
    """Whether each label may be absent, and present; what is likelier always may.

    Shape (rows, labels, 2).
    """
    probabilities_of_both = np.stack([1 - probabilities, probabilities], axis=2)
    is_possible = (
        probabilities_of_both >= np.asarray(thresholds)[None, :, None] - PROBABILITY_TOLERANCE
    )
    return np.asarray(is_possible | (probabilities_of_both >= 0.5))


def fit_interval_half_widths(
    predicted: Array, y: Array, coverage: float, weights: Array | None = None
) -> dict[str, list[float]]:
    """Half the width of the interval by predicted value: wide where the model errs much.

    Bins of the predicted value (Mondrian conformal prediction) as far as rows allow.
    """
    edges = bin_edges(predicted, int(np.clip(len(y) // MIN_ROWS_PER_BIN, 1, MAX_BINS)))
    bin_indices = np.searchsorted(edges, predicted, side="right")
    absolute_errors = np.abs(predicted - y)
    row_weights = np.ones(len(y)) if weights is None else weights
    bin_masks = [bin_indices == bin_index for bin_index in range(len(edges) + 1)]
    half_widths = [
        conformal_quantile(absolute_errors[mask], coverage, row_weights[mask]) for mask in bin_masks
    ]
    fallback_half_width = (
        float(absolute_errors.max(initial=0.0)) * 2
    )  # where rows are too few for a finite width
    return {
        "edges": [float(edge) for edge in edges],
        "widths": [
            half_width if np.isfinite(half_width) else fallback_half_width
            for half_width in half_widths
        ],
    }


def bin_edges(predicted: Array, n_bins: int) -> Array:
    """Where bins of about equal count meet: between two predicted values, never on one."""
    if not len(predicted):
        return np.zeros(0)
    values = np.unique(predicted)
    quantiles = np.quantile(predicted, np.linspace(0, 1, n_bins + 1)[1:-1])
    upper_indices = np.unique(np.searchsorted(values, quantiles))
    upper_indices = upper_indices[upper_indices > 0]
    return np.asarray((values[upper_indices - 1] + values[upper_indices]) / 2)


def prediction_intervals(predicted: Array, fitted: dict[str, list[float]]) -> Array:
    """Low and high end for each predicted value, shape (rows, 2)."""
    bin_indices = np.searchsorted(fitted["edges"], predicted, side="right")
    half_widths = np.asarray(fitted["widths"])[bin_indices]
    return np.stack([predicted - half_widths, predicted + half_widths], axis=1)
