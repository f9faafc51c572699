"""Metrics of multilabel classification; targets are 0 or 1, shape (rows, labels)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.statistics.metrics import (
    MIN_PROBABILITY,
    Metric,
    Predictions,
    binary_average_precision,
    binary_roc_auc,
    nanmean_over_first_axis,
    safe_divide,
    weighted_mean,
)


def mean_over_labels(
    score: Callable[[Array, Array, Array], Array],
    y: Array,
    predictions: Predictions,
    weights: Array,
) -> Array:
    """The mean of a score over the labels for which it is defined."""
    return nanmean_over_first_axis(
        np.stack(
            [
                score(y[:, label] == 1, predictions.outputs[:, label], weights)
                for label in range(y.shape[1])
            ]
        )
    )


def macro_roc_auc(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Area under the ROC curve, averaged over the labels."""
    return mean_over_labels(binary_roc_auc, y, predictions, weights)


def macro_average_precision(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Average precision, averaged over the labels."""
    return mean_over_labels(binary_average_precision, y, predictions, weights)


def log_loss(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean negative log-probability of the true value of each label."""
    true_probability = np.clip(
        np.where(y == 1, predictions.outputs, 1 - predictions.outputs).astype(np.float64),
        MIN_PROBABILITY,
        1,
    )
    return weighted_mean(-np.log(true_probability).mean(axis=1), weights)


def multilabel_brier_score(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean squared error of the probabilities (Brier 1950)."""
    return weighted_mean(((predictions.outputs - y) ** 2).mean(axis=1), weights)


def label_counts(y: Array, predictions: Predictions, weights: Array) -> tuple[Array, Array, Array]:
    """Weight of true positives, predicted and actual positives, each (resamples, labels)."""
    w = weights.astype(np.float64)
    is_predicted, is_actual = predictions.decisions == 1, y == 1
    return w @ (is_predicted & is_actual), w @ is_predicted, w @ is_actual


def micro_f1(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Harmonic mean of precision and recall over all labels of all rows."""
    true_positives, predicted, actual = (
        counts_of_labels.sum(axis=1) for counts_of_labels in label_counts(y, predictions, weights)
    )
    return safe_divide(2 * true_positives, predicted + actual)


def macro_f1(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Harmonic mean of precision and recall of each label, averaged over the labels."""
    true_positives, predicted, actual = label_counts(y, predictions, weights)
    return nanmean_over_first_axis(safe_divide(2 * true_positives, predicted + actual).T)


def hamming_loss(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of labels that are predicted wrongly."""
    return weighted_mean((predictions.decisions != y).mean(axis=1), weights)


def subset_accuracy(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of rows with all labels predicted correctly."""
    return weighted_mean((predictions.decisions == y).all(axis=1), weights)


def label_coverage(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of labels whose true value is in the prediction set."""
    is_covered = np.where(y == 1, predictions.regions[:, :, 1], predictions.regions[:, :, 0])
    return weighted_mean(is_covered.mean(axis=1), weights)


def mean_undecided_labels(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of labels whose prediction set holds both values."""
    return weighted_mean(predictions.regions.all(axis=2).mean(axis=1), weights)


MACRO_ROC_AUC = Metric("roc_auc", "ROC AUC (macro, one-vs-rest)", True, macro_roc_auc)
MACRO_AVERAGE_PRECISION = Metric(
    "average_precision", "average precision (macro)", True, macro_average_precision
)
LOG_LOSS = Metric("log_loss", "log loss", False, log_loss)
BRIER = Metric("brier", "Brier score", False, multilabel_brier_score)
MICRO_F1 = Metric("micro_f1", "micro F1", True, micro_f1)
MACRO_F1 = Metric("macro_f1", "macro F1", True, macro_f1)
HAMMING_LOSS = Metric("hamming_loss", "Hamming loss", False, hamming_loss)
SUBSET_ACCURACY = Metric("subset_accuracy", "subset accuracy", True, subset_accuracy)
COVERAGE = Metric("coverage", "coverage", True, label_coverage)
MEAN_UNDECIDED_LABELS = Metric(
    "mean_undecided_labels", "mean undecided labels", False, mean_undecided_labels
)
