"""Metrics of many labels a row, each of which may apply; targets are 0 or 1 (rows, labels)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fieldcraft.evidence.metrics import (
    SMALLEST,
    Array,
    Metric,
    Said,
    area_under_roc,
    mean,
    mean_of_defined,
    mean_precision,
    ratio,
)


def over_labels(
    score: Callable[[Array, Array, Array], Array], y: Array, said: Said, weights: Array
) -> Array:
    """A score of each label by its probabilities, the mean over those where it is defined."""
    return mean_of_defined(
        np.stack([score(y[:, k] == 1, said.outputs[:, k], weights) for k in range(y.shape[1])])
    )


def macro_roc_auc(y: Array, said: Said, weights: Array) -> Array:
    """Area under the ROC curve, the mean over the labels."""
    return over_labels(area_under_roc, y, said, weights)


def macro_average_precision(y: Array, said: Said, weights: Array) -> Array:
    """Area under the precision-recall curve, the mean over the labels."""
    return over_labels(mean_precision, y, said, weights)


def log_loss(y: Array, said: Said, weights: Array) -> Array:
    """Mean negative log-probability of what is true of each label."""
    p = np.clip(np.where(y == 1, said.outputs, 1 - said.outputs).astype(np.float64), SMALLEST, 1)
    return mean(-np.log(p).mean(axis=1), weights)


def brier(y: Array, said: Said, weights: Array) -> Array:
    """Mean squared error of the probabilities (Brier 1950)."""
    return mean(((said.outputs - y) ** 2).mean(axis=1), weights)


def counts(y: Array, said: Said, weights: Array) -> tuple[Array, Array, Array]:
    """Weight of hits, of labels called and of labels there, each (resamples, labels)."""
    w = weights.astype(np.float64)
    called, there = said.decisions == 1, y == 1
    return w @ (called & there), w @ called, w @ there


def micro_f1(y: Array, said: Said, weights: Array) -> Array:
    """Harmonic mean of precision and recall over all labels of all rows."""
    hit, called, there = (part.sum(axis=1) for part in counts(y, said, weights))
    return ratio(2 * hit, called + there)


def macro_f1(y: Array, said: Said, weights: Array) -> Array:
    """Harmonic mean of precision and recall of each label, the mean over the labels."""
    hit, called, there = counts(y, said, weights)
    return mean_of_defined(ratio(2 * hit, called + there).T)


def hamming_loss(y: Array, said: Said, weights: Array) -> Array:
    """Share of labels that are decided wrongly."""
    return mean((said.decisions != y).mean(axis=1), weights)


def subset_accuracy(y: Array, said: Said, weights: Array) -> Array:
    """Share of rows of which every label is decided rightly."""
    return mean((said.decisions == y).all(axis=1), weights)


def coverage(y: Array, said: Said, weights: Array) -> Array:
    """Share of labels whose truth is among what the region leaves open."""
    held = np.where(y == 1, said.regions[:, :, 1], said.regions[:, :, 0])
    return mean(held.mean(axis=1), weights)


def open_labels(y: Array, said: Said, weights: Array) -> Array:
    """Share of labels that the region leaves undecided."""
    return mean(said.regions.all(axis=2).mean(axis=1), weights)


MACRO_ROC_AUC = Metric("roc_auc", "ROC AUC (mean)", True, macro_roc_auc)
MACRO_AVERAGE_PRECISION = Metric(
    "average_precision", "PR AUC (mean)", True, macro_average_precision
)
LOG_LOSS = Metric("log_loss", "log loss", False, log_loss)
BRIER = Metric("brier", "Brier score", False, brier)
MICRO_F1 = Metric("micro_f1", "micro F1", True, micro_f1)
MACRO_F1 = Metric("macro_f1", "macro F1", True, macro_f1)
HAMMING_LOSS = Metric("hamming_loss", "Hamming loss", False, hamming_loss)
SUBSET_ACCURACY = Metric("subset_accuracy", "all labels right", True, subset_accuracy)
COVERAGE = Metric("coverage", "coverage of regions", True, coverage)
OPEN_LABELS = Metric("open_labels", "labels left open", False, open_labels)
