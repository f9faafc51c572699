"""Temperature scaling and reliability of predicted probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SMALLEST = 1e-12
TEMPERATURES = (0.1, 10.0)
PRIOR_SPREAD = 0.5  # of the logarithm: most temperatures of networks are from 0.4 to 2.7
BINS = 10


def scale(probabilities: Array, temperature: float) -> Array:
    """Probabilities sharpened (below 1) or softened (above 1), rows adding up to 1 again.

    Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, on log-probabilities.
    """
    logits = np.log(np.clip(probabilities.astype(np.float64), SMALLEST, 1)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def loss_at(
    probabilities: Array, y: Array, temperature: float, weights: Array | None = None
) -> float:
    """Mean log loss of scaled probabilities, with what is known of temperatures beforehand.

    The logarithm of the temperature has a normal prior around 0. It keeps a few rows that are
    all predicted right from making a model certain, and is lost among many rows.
    """
    scaled = scale(probabilities, temperature)
    rows = len(scaled)
    prior = (math.log(temperature) / PRIOR_SPREAD) ** 2 / 2
    losses = -np.log(scaled[np.arange(rows), y])  # above 0: logits differ by 277 at most
    return float(np.average(losses, weights=weights)) + prior / rows


def fit_temperature(
    probabilities: Array, y: Array, weights: Array | None = None, steps: int = 40
) -> float:
    """The temperature with the lowest loss, by golden-section search on its logarithm."""
    if not len(y):
        return 1.0

    def loss(position: float) -> float:
        return loss_at(probabilities, y, float(np.exp(position)), weights)

    low, high = np.log(TEMPERATURES)
    best = golden(loss, low, high, steps)
    return float(np.exp(best)) if loss(best) < loss(0.0) else 1.0


def golden(loss: Callable[[float], float], low: float, high: float, steps: int) -> float:
    """Where a function with one valley is lowest between two ends (Kiefer 1953)."""
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(steps):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return (low + high) / 2


def reliability(confidence: Array, right: Array, bins: int = BINS) -> list[dict[str, float]]:
    """Predicted against observed frequency in bins of about equal count, for a reliability curve.

    Rows of the same confidence share a bin, so the order of the rows does not matter.

    Args:
        confidence: predicted probability of the event, shape (rows,).
        right: whether the event happened, shape (rows,).
        bins: how many at most.
    """
    if not len(confidence):
        return []
    edges = np.unique(np.quantile(confidence, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, confidence, side="right")
    pieces = [np.flatnonzero(place == number) for number in np.unique(place)]
    return [
        {
            "predicted": float(confidence[piece].mean()),
            "observed": float(right[piece].mean()),
            "rows": len(piece),
        }
        for piece in pieces
    ]


def expected_calibration_error(confidence: Array, right: Array, bins: int = BINS) -> float:
    """Mean gap between predicted and observed frequency over bins, weighted by their rows.

    Naeini et al., AAAI 2015, with bins of about equal count.
    """
    curve = reliability(confidence, right, bins)
    gaps = [abs(point["predicted"] - point["observed"]) * point["rows"] for point in curve]
    return float(sum(gaps) / max(len(right), 1))
