"""Prediction sets and intervals that contain the truth at a target rate, for any model.

Split conformal prediction (Vovk et al., *Algorithmic Learning in a Random World*, 2005). Rows like
the validation rows are covered at the target rate on average, not within each group of rows.
"""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array

MIN_ROWS_PER_BIN = 200  # validation rows that the width of an interval is taken from
MAX_BINS = 10
# A packaged model's probabilities may differ by this much, and ties are common: a class whose
# probability is exactly the threshold must not drop out of its set.
PROBABILITY_TOLERANCE = 1e-6
RANK_TOLERANCE = 1e-9  # (n + 1) * coverage may be a whole number only up to rounding


def conformal_quantile(scores: Array, coverage: float, weights: Array | None = None) -> float:
    """The bound that the score of a new row keeps at the target rate; infinite with too few rows.

    Rows may have weights (Tibshirani et al., *Conformal Prediction Under Covariate Shift*,
    NeurIPS 2019); the new row has the mean weight of the others.
    """
    if not len(scores):
        return float("inf")
    weights = np.ones(len(scores)) if weights is None else weights / weights.mean()
    # The new row is exchangeable with the n others, so its score is one of n + 1, and the quantile
    # is taken among these. Its weight is unknown and taken as the mean of the others, 1 after the
    # division above, so the total is n + 1 with or without weights. Its score is unknown too and
    # taken as infinite, which is the result where the n others do not reach the rank.
    order = np.argsort(scores, kind="stable")
    cumulative_weights = np.cumsum(weights[order])
    index = int(np.searchsorted(cumulative_weights, (len(scores) + 1) * coverage - RANK_TOLERANCE))
    return float(scores[order[index]]) if index < len(scores) else float("inf")


def class_set_threshold(
    probabilities: Array, y: Array, coverage: float, weights: Array | None = None
) -> float:
    """The lowest probability of a class in the prediction set (Sadinle et al., JASA 2019)."""
    # The score is minus the probability of the true class. An infinite quantile, with too few rows,
    # becomes a threshold of 0: every class is in the set.
    return max(-conformal_quantile(-probabilities[np.arange(len(y)), y], coverage, weights), 0.0)


def class_prediction_sets(probabilities: Array, threshold: float) -> Array:
    """Which classes are in each row's set, (rows, classes); the most probable one always is."""
    is_member = probabilities >= threshold - PROBABILITY_TOLERANCE
    is_member[np.arange(len(is_member)), probabilities.argmax(axis=1)] = True
    return np.asarray(is_member)


def label_set_thresholds(
    probabilities: Array, y: Array, coverage: float, weights: Array | None = None
) -> list[float]:
    """For each label the lowest probability of a value, 0 or 1, in its prediction set."""
    true_probability = np.where(y == 1, probabilities, 1 - probabilities)
    return [
        max(-conformal_quantile(-column, coverage, weights), 0.0) for column in true_probability.T
    ]


def label_prediction_sets(probabilities: Array, thresholds: list[float]) -> Array:
    """Whether each label may be 0 and may be 1, (rows, labels, 2); the more probable always may."""
    probabilities_of_both = np.stack([1 - probabilities, probabilities], axis=2)
    is_possible = (
        probabilities_of_both >= np.asarray(thresholds)[None, :, None] - PROBABILITY_TOLERANCE
    )
    return np.asarray(is_possible | (probabilities_of_both >= 0.5))


def fit_interval_half_widths(
    predicted: Array, y: Array, coverage: float, weights: Array | None = None
) -> dict[str, list[float]]:
    """Half the width of the prediction interval, by bins of the predicted value.

    Each bin has a width of its own (Mondrian conformal prediction), so that intervals are wide only
    where errors are large. There are as many bins as the number of rows allows, at most ten.

    Returns:
        ``bin_edges``, and ``half_widths``, one more of them, both in units of the target.
    """
    edges = bin_edges(predicted, int(np.clip(len(y) // MIN_ROWS_PER_BIN, 1, MAX_BINS)))
    bin_indices = np.searchsorted(edges, predicted, side="right")
    absolute_errors = np.abs(predicted - y)
    row_weights = np.ones(len(y)) if weights is None else weights
    bin_masks = [bin_indices == bin_index for bin_index in range(len(edges) + 1)]
    half_widths = [
        conformal_quantile(absolute_errors[mask], coverage, row_weights[mask]) for mask in bin_masks
    ]
    # With too few rows for a finite width, the interval must still be a number: twice the largest
    # error of all rows.
    fallback_half_width = float(absolute_errors.max(initial=0.0)) * 2
    return {
        "bin_edges": [float(edge) for edge in edges],
        "half_widths": [
            half_width if np.isfinite(half_width) else fallback_half_width
            for half_width in half_widths
        ],
    }


def bin_edges(predicted: Array, n_bins: int) -> Array:
    """Edges of bins of about equal count: between two predicted values, never on one."""
    if not len(predicted):
        return np.zeros(0)
    # With an edge on a value, the rounding of a packaged model could move a row to the other bin.
    values = np.unique(predicted)
    quantiles = np.quantile(predicted, np.linspace(0, 1, n_bins + 1)[1:-1])
    upper_indices = np.unique(np.searchsorted(values, quantiles))
    upper_indices = upper_indices[upper_indices > 0]
    return np.asarray((values[upper_indices - 1] + values[upper_indices]) / 2)


def prediction_intervals(predicted: Array, fitted: dict[str, list[float]]) -> Array:
    """The lower and upper end of the interval of each predicted value, shape (rows, 2)."""
    bin_indices = np.searchsorted(fitted["bin_edges"], predicted, side="right")
    half_widths = np.asarray(fitted["half_widths"])[bin_indices]
    return np.stack([predicted - half_widths, predicted + half_widths], axis=1)
