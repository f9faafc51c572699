"""Metrics of one class among several; binary ones take the second class as the positive one."""

from __future__ import annotations

import numpy as np

from fieldcraft.evidence.metrics import (
    SMALLEST,
    Array,
    Metric,
    Said,
    area_under_roc,
    calibration_gap,
    mean,
    mean_of_defined,
    mean_precision,
    ratio,
)


def accuracy(y: Array, said: Said, weights: Array) -> Array:
    """Share of rows whose decided class is the true one."""
    return mean(said.decisions == y, weights)


def balanced_accuracy(y: Array, said: Said, weights: Array) -> Array:
    """Mean over the classes of the share of their rows that are found (mean recall)."""
    right = said.decisions == y
    recalls = [ratio(weights @ (right & (y == k)), weights @ (y == k)) for k in np.unique(y)]
    return mean_of_defined(np.stack(recalls))


def macro_f1(y: Array, said: Said, weights: Array) -> Array:
    """Mean over the classes of the harmonic mean of precision and recall."""
    scores = []
    for k in np.union1d(y, said.decisions):
        called, there = said.decisions == k, y == k
        hit = weights @ (called & there).astype(np.float64)
        scores.append(ratio(2 * hit, weights @ called + weights @ there))
    return mean_of_defined(np.stack(scores))


def log_loss(y: Array, said: Said, weights: Array) -> Array:
    """Mean negative log-probability given to the true class."""
    chosen = said.outputs[np.arange(len(y)), y].astype(np.float64)
    return mean(-np.log(np.clip(chosen, SMALLEST, 1)), weights)


def brier(y: Array, said: Said, weights: Array) -> Array:
    """Mean squared error of the probability of the positive class (Brier 1950)."""
    return mean((said.outputs[:, 1].astype(np.float64) - (y == 1)) ** 2, weights)


def brier_of_all(y: Array, said: Said, weights: Array) -> Array:
    """Squared error of the probabilities, summed over the classes (Brier 1950)."""
    truth = np.arange(said.outputs.shape[1]) == y[:, None]
    return mean(((said.outputs - truth) ** 2).sum(axis=1), weights)


def precision(y: Array, said: Said, weights: Array) -> Array:
    """Share of the rows called positive that are."""
    called = said.decisions == 1
    return ratio(weights @ (called & (y == 1)), weights @ called)


def recall(y: Array, said: Said, weights: Array) -> Array:
    """Share of the positive rows that are called positive."""
    called = said.decisions == 1
    return ratio(weights @ (called & (y == 1)), weights @ (y == 1))


def f1(y: Array, said: Said, weights: Array) -> Array:
    """Harmonic mean of precision and recall of the positive class."""
    called, positive = said.decisions == 1, y == 1
    both = weights @ called + weights @ positive
    return ratio(2 * (weights @ (called & positive)), both)


def matthews(y: Array, said: Said, weights: Array) -> Array:
    """Correlation of decisions and truth, for any number of classes.

    Matthews 1975; Gorodkin, *Comparing two K-category assignments*, 2004.
    """
    w, labels = weights.astype(np.float64), np.union1d(y, said.decisions)
    total = w.sum(axis=1)
    hit = w @ (said.decisions == y)
    called = np.stack([w @ (said.decisions == k) for k in labels])
    there = np.stack([w @ (y == k) for k in labels])
    above = hit * total - (called * there).sum(axis=0)
    below = (total**2 - (called**2).sum(axis=0)) * (total**2 - (there**2).sum(axis=0))
    return ratio(above, np.sqrt(np.where(below > 0, below, np.nan)))


def roc_auc(y: Array, said: Said, weights: Array) -> Array:
    """Chance that a positive row is ranked above a negative one, ties counting half."""
    return area_under_roc(y == 1, said.outputs[:, 1], weights)


def roc_auc_of_all(y: Array, said: Said, weights: Array) -> Array:
    """Area under the ROC curve of each class against the rest, the mean over the classes."""
    areas = [area_under_roc(y == k, said.outputs[:, k], weights) for k in np.unique(y)]
    return mean_of_defined(np.stack(areas))


def average_precision(y: Array, said: Said, weights: Array) -> Array:
    """Area under the precision-recall curve of the positive class."""
    return mean_precision(y == 1, said.outputs[:, 1], weights)


def binary_calibration(y: Array, said: Said, weights: Array) -> Array:
    """Mean gap between the probability of the positive class and how often it comes true."""
    return calibration_gap(said.outputs[:, 1].astype(np.float64), y == 1, weights)


def calibration_error(y: Array, said: Said, weights: Array) -> Array:
    """Mean gap between the probability of the likeliest class and how often it is the true one."""
    likeliest = said.outputs.argmax(axis=1)
    return calibration_gap(said.outputs.max(axis=1).astype(np.float64), likeliest == y, weights)


def coverage(y: Array, said: Said, weights: Array) -> Array:
    """Share of rows whose true class is in the predicted set."""
    return mean(said.regions[np.arange(len(y)), y], weights)


def set_size(y: Array, said: Said, weights: Array) -> Array:
    """Classes in the predicted set, on average."""
    return mean(said.regions.sum(axis=1), weights)


ACCURACY = Metric("accuracy", "accuracy", True, accuracy)
BALANCED_ACCURACY = Metric("balanced_accuracy", "balanced accuracy", True, balanced_accuracy)
MACRO_F1 = Metric("macro_f1", "macro F1", True, macro_f1)
LOG_LOSS = Metric("log_loss", "log loss", False, log_loss)
BRIER = Metric("brier", "Brier score", False, brier)
BRIER_OF_ALL = Metric("brier", "Brier score", False, brier_of_all)
PRECISION = Metric("precision", "precision", True, precision)
RECALL = Metric("recall", "recall", True, recall)
F1 = Metric("f1", "F1", True, f1)
MATTHEWS = Metric("mcc", "MCC", True, matthews)
ROC_AUC = Metric("roc_auc", "ROC AUC", True, roc_auc)
ROC_AUC_OF_ALL = Metric("roc_auc", "ROC AUC (mean)", True, roc_auc_of_all)
AVERAGE_PRECISION = Metric("average_precision", "PR AUC", True, average_precision)
BINARY_CALIBRATION = Metric(
    "calibration_error", "calibration error", False, binary_calibration, inflated=True
)
CALIBRATION_ERROR = Metric(
    "calibration_error", "calibration error", False, calibration_error, inflated=True
)
COVERAGE = Metric("coverage", "coverage of sets", True, coverage)
SET_SIZE = Metric("set_size", "classes in a set", False, set_size)
