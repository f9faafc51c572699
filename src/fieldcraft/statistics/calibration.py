"""Temperature scaling and reliability of predicted probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fieldcraft.core.types import Array

MIN_PROBABILITY = 1e-12
TEMPERATURE_RANGE = (0.1, 10.0)
LOG_TEMPERATURE_PRIOR_STD = (
    0.5  # of the logarithm: most temperatures of networks are from 0.4 to 2.7
)
N_BINS = 10


def apply_temperature(probabilities: Array, temperature: float) -> Array:
    """Probabilities sharpened (below 1) or softened (above 1), rows adding up to 1 again.

    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, on log-probabilities.
    """
    logits = np.log(np.clip(probabilities.astype(np.float64), MIN_PROBABILITY, 1)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def temperature_loss(
    probabilities: Array, y: Array, temperature: float, weights: Array | None = None
) -> float:
    """Mean log loss of scaled probabilities, with what is known of temperatures beforehand.

    The logarithm of the temperature has a normal prior around 0. It keeps a few rows that are
    all predicted right from making a model certain, and is lost among many rows.
    """
    scaled = apply_temperature(probabilities, temperature)
    n_rows = len(scaled)
    prior = (math.log(temperature) / LOG_TEMPERATURE_PRIOR_STD) ** 2 / 2
    losses = -np.log(scaled[np.arange(n_rows), y])  # above 0: logits differ by 277 at most
    return float(np.average(losses, weights=weights)) + prior / n_rows


def fit_temperature(
    probabilities: Array, y: Array, weights: Array | None = None, steps: int = 40
) -> float:
    """The temperature with the lowest loss, by golden-section search on its logarithm."""
    if not len(y):
        return 1.0

    def loss(log_temperature: float) -> float:
        return temperature_loss(probabilities, y, float(np.exp(log_temperature)), weights)

    low, high = np.log(TEMPERATURE_RANGE)
    log_temperature = golden_section_minimum(loss, low, high, steps)
    return float(np.exp(log_temperature)) if loss(log_temperature) < loss(0.0) else 1.0


def golden_section_minimum(
    loss: Callable[[float], float], low: float, high: float, steps: int
) -> float:
    """Where a function with one valley is lowest between two ends (Kiefer 1953)."""
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
    """Predicted against observed frequency in bins of about equal count, for a reliability curve.

    Rows of the same confidence share a bin, so the order of the rows does not matter.

    Args:
        confidence: predicted probability of the event, shape (rows,).
        is_event: whether the event happened, shape (rows,).
        max_bins: how many at most.
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


def expected_calibration_error(confidence: Array, is_event: Array, max_bins: int = N_BINS) -> float:
    """Mean gap between predicted and observed frequency over bins, weighted by their rows.

    Naeini et al., AAAI 2015, with bins of about equal count.
    """
    curve = reliability_curve(confidence, is_event, max_bins)
    gaps = [abs(point["predicted"] - point["observed"]) * point["rows"] for point in curve]
    return float(sum(gaps) / max(len(is_event), 1))
