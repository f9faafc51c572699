"""Temperature scaling and reliability curves of predicted probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fieldcraft.core.types import Array

MIN_PROBABILITY = 1e-12
TEMPERATURE_RANGE = (0.1, 10.0)
# Of a normal prior on the logarithm: 95 % of temperatures between 0.4 and 2.7, as most networks
# have.
LOG_TEMPERATURE_PRIOR_STD = 0.5
N_BINS = 10


def apply_temperature(probabilities: Array, temperature: float) -> Array:
    """Probabilities sharpened (temperature below 1) or softened (above 1); rows sum to 1.

    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, with log-probabilities as
    logits, from which they differ by a constant for each row.
    """
    logits = np.log(np.clip(probabilities.astype(np.float64), MIN_PROBABILITY, 1)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def temperature_loss(
    probabilities: Array, y: Array, temperature: float, weights: Array | None = None
) -> float:
    """Mean log loss of scaled probabilities, plus a normal prior on the log temperature.

    Without the prior, a few rows that are all predicted correctly would make a model certain; with
    many rows it has hardly any effect. It is divided by the effective number of rows (Kish, *Survey
    Sampling*, 1965), which depends neither on rows of weight 0 nor on the scale of the weights.
    """
    scaled = apply_temperature(probabilities, temperature)
    n_rows = len(scaled)
    n_effective = n_rows if weights is None else weights.sum() ** 2 / (weights**2).sum()
    prior = (math.log(temperature) / LOG_TEMPERATURE_PRIOR_STD) ** 2 / 2
    # No clipping needed: clipped log-probabilities are at least log(1e-12) = -27.6, at the lowest
    # temperature of 0.1 logits differ by at most 276, and exp(-276) is a positive double.
    losses = -np.log(scaled[np.arange(n_rows), y])
    return float(np.average(losses, weights=weights) + prior / n_effective)


def fit_temperature(
    probabilities: Array, y: Array, weights: Array | None = None, steps: int = 40
) -> float:
    """The temperature with the lowest loss, found by golden-section search on its logarithm.

    Each step narrows the interval by 0.618: 40 steps leave 2e-8 of the logarithm.
    """
    if not len(y):
        return 1.0

    def loss(log_temperature: float) -> float:
        return temperature_loss(probabilities, y, float(np.exp(log_temperature)), weights)

    low, high = np.log(TEMPERATURE_RANGE)
    log_temperature = golden_section_minimum(loss, low, high, steps)
    # The loss may have several local minima, and the search may end in the wrong one: a temperature
    # is used only if its loss is lower than without scaling.
    return float(np.exp(log_temperature)) if loss(log_temperature) < loss(0.0) else 1.0


def golden_section_minimum(
    loss: Callable[[float], float], low: float, high: float, steps: int
) -> float:
    """The minimum of a unimodal function on an interval (Kiefer 1953)."""
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    left_loss, right_loss = loss(left), loss(right)
    for _ in range(steps):
        if left_loss < right_loss:
            high, right, right_loss = right, left, left_loss
            left = high - ratio * (high - low)
            left_loss = loss(left)
        else:
            low, left, left_loss = left, right, right_loss
            right = low + ratio * (high - low)
            right_loss = loss(right)
    return (low + high) / 2


def reliability_curve(
    confidence: Array, is_event: Array, max_bins: int = N_BINS
) -> list[dict[str, float]]:
    """Predicted and observed frequency in bins of about equal count.

    Rows with the same confidence share a bin, so the order of the rows does not matter.

    Args:
        confidence: predicted probability of the event, shape (rows,).
        is_event: whether the event happened, shape (rows,).
        max_bins: largest number of bins.
    """
    if not len(confidence):
        return []
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, max_bins + 1)[1:-1]))
    bin_indices = np.searchsorted(edges, confidence, side="right")
    bin_rows = [np.flatnonzero(bin_indices == bin_index) for bin_index in np.unique(bin_indices)]
    return [
        {
            "predicted": float(confidence[rows].mean()),
            "observed": float(is_event[rows].mean()),
            "rows": len(rows),
        }
        for rows in bin_rows
    ]
