"""Metrics of ordinal classification, where an error of two steps is worse than one of one."""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.statistics.metrics import (
    Metric,
    Predictions,
    nanmean_over_first_axis,
    safe_divide,
    weighted_mean,
)


def quadratic_kappa(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Agreement beyond chance, errors weighted by their squared steps (Cohen 1968)."""
    n_classes = predictions.outputs.shape[1]
    w = weights.astype(np.float64)
    observed_cost = w @ ((predictions.decisions - y) ** 2).astype(np.float64)
    actual = w @ np.eye(n_classes)[y]
    predicted = w @ np.eye(n_classes)[predictions.decisions]
    class_indices = np.arange(n_classes)
    costs = (class_indices[:, None] - class_indices) ** 2
    expected_cost = np.einsum("ri,ij,rj->r", actual, costs, predicted)
    # Mean costs are observed / W and expected / W**2, with W the total weight: one W remains.
    return 1 - safe_divide(
        observed_cost * w.sum(axis=1), np.where(expected_cost > 0, expected_cost, np.nan)
    )


def ordinal_mae(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean number of steps between predicted and true class."""
    return weighted_mean(np.abs(predictions.decisions - y), weights)


def macro_ordinal_mae(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean steps between predicted and true class, averaged over the classes.

    Baccianella et al., *Evaluation Measures for Ordinal Regression*, ISDA 2009.
    """
    errors = np.abs(predictions.decisions - y).astype(np.float64)
    class_means = [
        safe_divide(weights @ (errors * (y == k)), weights @ (y == k)) for k in np.unique(y)
    ]
    return nanmean_over_first_axis(np.stack(class_means))


def ranked_probability_score(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean squared error of the cumulative probabilities (Epstein 1969)."""
    n_classes = predictions.outputs.shape[1]
    cumulative_truth = np.arange(n_classes - 1) >= y[:, None]
    cumulative_probabilities = np.cumsum(predictions.outputs.astype(np.float64), axis=1)[:, :-1]
    return weighted_mean(((cumulative_probabilities - cumulative_truth) ** 2).mean(axis=1), weights)


QUADRATIC_KAPPA = Metric("quadratic_kappa", "quadratic kappa", True, quadratic_kappa)
ORDINAL_MAE = Metric("mae", "ordinal MAE", False, ordinal_mae)
MACRO_ORDINAL_MAE = Metric("macro_mae", "macro ordinal MAE", False, macro_ordinal_mae)
RANKED_PROBABILITY_SCORE = Metric(
    "rps", "ranked probability score", False, ranked_probability_score
)
