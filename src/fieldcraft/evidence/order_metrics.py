"""Metrics of classes in an order; a mistake of two steps is worse than one of one."""

from __future__ import annotations

import numpy as np

from fieldcraft.evidence.metrics import Array, Metric, Said, mean, mean_of_defined, ratio


def quadratic_kappa(y: Array, said: Said, weights: Array) -> Array:
    """Agreement beyond chance, mistakes weighed by the square of their steps (Cohen 1968)."""
    classes = said.outputs.shape[1]
    w = weights.astype(np.float64)
    seen = w @ ((said.decisions - y) ** 2).astype(np.float64)
    there = w @ np.eye(classes)[y]
    called = w @ np.eye(classes)[said.decisions]
    steps = np.arange(classes)
    squares = (steps[:, None] - steps) ** 2
    by_chance = np.einsum("ri,ij,rj->r", there, squares, called)
    return 1 - ratio(seen * w.sum(axis=1), np.where(by_chance > 0, by_chance, np.nan))


def mean_steps(y: Array, said: Said, weights: Array) -> Array:
    """Steps between decided and true class, on average (mean absolute error of ranks)."""
    return mean(np.abs(said.decisions - y), weights)


def macro_steps(y: Array, said: Said, weights: Array) -> Array:
    """Steps between decided and true class, the mean over the classes (Baccianella et al. 2009)."""
    steps = np.abs(said.decisions - y).astype(np.float64)
    means = [ratio(weights @ (steps * (y == k)), weights @ (y == k)) for k in np.unique(y)]
    return mean_of_defined(np.stack(means))


def ranked_probability_score(y: Array, said: Said, weights: Array) -> Array:
    """Mean squared error of the cumulative probabilities (Epstein 1969), over the cuts."""
    classes = said.outputs.shape[1]
    truth = np.arange(classes - 1) >= y[:, None]
    predicted = np.cumsum(said.outputs.astype(np.float64), axis=1)[:, :-1]
    return mean(((predicted - truth) ** 2).mean(axis=1), weights)


QUADRATIC_KAPPA = Metric("quadratic_kappa", "quadratic kappa", True, quadratic_kappa)
MEAN_STEPS = Metric("mae", "mean steps off", False, mean_steps)
MACRO_STEPS = Metric("macro_mae", "mean steps off (by class)", False, macro_steps)
RANKED_PROBABILITY = Metric("rps", "ranked probability score", False, ranked_probability_score)
