"""Metrics of regression, in the unit of the target unless stated otherwise."""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.statistics.metrics import Metric, Predictions, safe_divide, weighted_mean

VARIANCE_TOLERANCE = 1e-12  # a variance below this fraction of the mean square counts as zero


def prediction_errors(y: Array, predictions: Predictions) -> Array:
    """Predicted minus true value of each row."""
    return np.asarray(predictions.decisions.astype(np.float64) - y)


def mean_absolute_error(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean absolute error."""
    return weighted_mean(np.abs(prediction_errors(y, predictions)), weights)


def root_mean_squared_error(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Root of the mean squared error."""
    return np.sqrt(weighted_mean(prediction_errors(y, predictions) ** 2, weights))


def mean_absolute_percentage_error(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean absolute error relative to the true value; rows with a true value of 0 are left out."""
    is_nonzero = y != 0
    relative_error = np.abs(prediction_errors(y, predictions)[is_nonzero] / y[is_nonzero])
    return safe_divide(weights[:, is_nonzero] @ relative_error, weights[:, is_nonzero].sum(axis=1))


def mean_error(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean error, positive where predictions are too high."""
    return weighted_mean(prediction_errors(y, predictions), weights)


def r2_score(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of the target's variance that is explained (coefficient of determination)."""
    residual = weighted_mean(prediction_errors(y, predictions) ** 2, weights)
    # The variance is a difference of two means, which would cancel if the mean were far from 0.
    centered = y - y.mean()
    mean_square = weighted_mean(centered**2, weights)
    variance = mean_square - weighted_mean(centered, weights) ** 2
    # The variance of a constant target is a rounding error, not 0.
    return 1 - safe_divide(
        residual, np.where(variance > VARIANCE_TOLERANCE * mean_square, variance, np.nan)
    )


def mean_pinball_loss(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean pinball loss of both ends of the interval (Koenker & Bassett 1978)."""
    # The ends of a central interval are the quantiles at (1 - coverage) / 2 from either side.
    tail_probability = (1 - predictions.coverage) / 2
    losses = []
    for bound, alpha in zip(
        predictions.regions.T, (tail_probability, 1 - tail_probability), strict=True
    ):
        error = y - bound
        losses.append(np.maximum(alpha * error, (alpha - 1) * error))
    return weighted_mean(np.mean(losses, axis=0), weights)


def interval_coverage(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of rows whose true value is in the interval."""
    low, high = predictions.regions.T
    return weighted_mean((low <= y) & (y <= high), weights)


def mean_interval_width(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean width of the intervals."""
    low, high = predictions.regions.T
    return weighted_mean(high - low, weights)


MAE = Metric("mae", "MAE", False, mean_absolute_error, "target")
RMSE = Metric("rmse", "RMSE", False, root_mean_squared_error, "target")
MAPE = Metric("mape", "MAPE", False, mean_absolute_percentage_error)
MEAN_ERROR = Metric("mean_error", "mean error", False, mean_error, "target")
R2 = Metric("r2", "R²", True, r2_score)
PINBALL = Metric("pinball_loss", "pinball loss", False, mean_pinball_loss, "target")
COVERAGE = Metric("coverage", "coverage", True, interval_coverage)
MEAN_INTERVAL_WIDTH = Metric(
    "mean_interval_width", "mean interval width", False, mean_interval_width, "target"
)
