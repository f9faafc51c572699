"""Metrics of an amount, in units of the target unless said otherwise."""

from __future__ import annotations

import numpy as np

from fieldcraft.evidence.metrics import Array, Metric, Said, mean, ratio

ROUNDING = 1e-12  # a variance below this share of the mean square is zero


def errors(y: Array, said: Said) -> Array:
    """Predicted less true value of each row."""
    return np.asarray(said.decisions.astype(np.float64) - y)


def mae(y: Array, said: Said, weights: Array) -> Array:
    """Mean absolute error."""
    return mean(np.abs(errors(y, said)), weights)


def rmse(y: Array, said: Said, weights: Array) -> Array:
    """Root of the mean squared error."""
    return np.sqrt(mean(errors(y, said) ** 2, weights))


def mape(y: Array, said: Said, weights: Array) -> Array:
    """Mean absolute error as a share of the true value, rows with a true value of 0 left out."""
    there = y != 0
    share = np.abs(errors(y, said)[there] / y[there])
    return ratio(weights[:, there] @ share, weights[:, there].sum(axis=1))


def bias(y: Array, said: Said, weights: Array) -> Array:
    """Mean error: above 0 where predictions are too high."""
    return mean(errors(y, said), weights)


def r2(y: Array, said: Said, weights: Array) -> Array:
    """Share of the target's variance that is explained (coefficient of determination)."""
    residual = mean(errors(y, said) ** 2, weights)
    centred = y - y.mean()  # against cancellation when the mean is far from zero
    square = mean(centred**2, weights)
    spread = square - mean(centred, weights) ** 2
    # What rounding leaves of a constant target is not variance.
    return 1 - ratio(residual, np.where(spread > ROUNDING * square, spread, np.nan))


def pinball(y: Array, said: Said, weights: Array) -> Array:
    """Mean pinball loss of both ends of the interval (Koenker & Bassett 1978)."""
    tail = (1 - said.coverage) / 2
    losses = []
    for end, share in zip(said.regions.T, (tail, 1 - tail), strict=True):
        gap = y - end
        losses.append(np.maximum(share * gap, (share - 1) * gap))
    return mean(np.mean(losses, axis=0), weights)


def coverage(y: Array, said: Said, weights: Array) -> Array:
    """Share of rows whose true value lies in the interval."""
    low, high = said.regions.T
    return mean((low <= y) & (y <= high), weights)


def width(y: Array, said: Said, weights: Array) -> Array:
    """Width of the interval, on average."""
    low, high = said.regions.T
    return mean(high - low, weights)


MAE = Metric("mae", "MAE", False, mae, "target")
RMSE = Metric("rmse", "RMSE", False, rmse, "target")
MAPE = Metric("mape", "MAPE", False, mape)
BIAS = Metric("bias", "mean error", False, bias, "target")
R2 = Metric("r2", "R²", True, r2)
PINBALL = Metric("pinball", "pinball loss of the interval", False, pinball, "target")
COVERAGE = Metric("coverage", "coverage of intervals", True, coverage)
WIDTH = Metric("width", "width of intervals", False, width, "target")
