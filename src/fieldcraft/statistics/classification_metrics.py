"""Metrics of classification; the second class is the positive one of binary metrics."""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.statistics.metrics import (
    MIN_PROBABILITY,
    Metric,
    Predictions,
    binary_average_precision,
    binary_roc_auc,
    expected_calibration_error,
    nanmean_over_first_axis,
    safe_divide,
    weighted_mean,
)


def accuracy(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of rows whose predicted class is the true one."""
    return weighted_mean(predictions.decisions == y, weights)


def balanced_accuracy(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Recall, averaged over the classes."""
    is_correct = predictions.decisions == y
    recalls = [
        safe_divide(weights @ (is_correct & (y == k)), weights @ (y == k)) for k in np.unique(y)
    ]
    return nanmean_over_first_axis(np.stack(recalls))


def macro_f1(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Harmonic mean of precision and recall, averaged over the classes."""
    # As in scikit-learn, a class that is predicted but has no rows counts, with an F1 of 0.
    scores = []
    for k in np.union1d(y, predictions.decisions):
        is_predicted, is_actual = predictions.decisions == k, y == k
        true_positives = weights @ (is_predicted & is_actual).astype(np.float64)
        scores.append(safe_divide(2 * true_positives, weights @ is_predicted + weights @ is_actual))
    return nanmean_over_first_axis(np.stack(scores))


def log_loss(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean negative log-probability of the true class."""
    true_probability = predictions.outputs[np.arange(len(y)), y].astype(np.float64)
    return weighted_mean(-np.log(np.clip(true_probability, MIN_PROBABILITY, 1)), weights)


def binary_brier_score(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean squared error of the probability of the positive class (Brier 1950)."""
    return weighted_mean((predictions.outputs[:, 1].astype(np.float64) - (y == 1)) ** 2, weights)


def multiclass_brier_score(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean squared error of the probabilities, summed over the classes (Brier 1950)."""
    one_hot = np.arange(predictions.outputs.shape[1]) == y[:, None]
    return weighted_mean(((predictions.outputs - one_hot) ** 2).sum(axis=1), weights)


def precision(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of the rows predicted positive that are positive."""
    is_predicted = predictions.decisions == 1
    return safe_divide(weights @ (is_predicted & (y == 1)), weights @ is_predicted)


def recall(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of the positive rows that are predicted positive."""
    is_predicted = predictions.decisions == 1
    return safe_divide(weights @ (is_predicted & (y == 1)), weights @ (y == 1))


def f1_score(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Harmonic mean of precision and recall of the positive class."""
    is_predicted, is_actual = predictions.decisions == 1, y == 1
    predicted_plus_actual = weights @ is_predicted + weights @ is_actual
    return safe_divide(2 * (weights @ (is_predicted & is_actual)), predicted_plus_actual)


def matthews_corrcoef(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Correlation of predicted and true class, for any number of classes.

    Matthews 1975; Gorodkin, *Comparing two K-category assignments*, 2004.
    """
    w, classes = weights.astype(np.float64), np.union1d(y, predictions.decisions)
    total = w.sum(axis=1)
    correct = w @ (predictions.decisions == y)
    predicted = np.stack([w @ (predictions.decisions == k) for k in classes])
    actual = np.stack([w @ (y == k) for k in classes])
    numerator = correct * total - (predicted * actual).sum(axis=0)
    # Covariance and variances of the class indicators, each times total**2, which cancels.
    squared_denominator = (total**2 - (predicted**2).sum(axis=0)) * (
        total**2 - (actual**2).sum(axis=0)
    )
    return safe_divide(
        numerator, np.sqrt(np.where(squared_denominator > 0, squared_denominator, np.nan))
    )


def roc_auc(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Probability that a positive row has a higher score than a negative one; ties count half."""
    return binary_roc_auc(y == 1, predictions.outputs[:, 1], weights)


def roc_auc_ovr(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Area under the ROC curve of each class against the rest, averaged over the classes."""
    areas = [binary_roc_auc(y == k, predictions.outputs[:, k], weights) for k in np.unique(y)]
    return nanmean_over_first_axis(np.stack(areas))


def average_precision(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Average precision of the positive class."""
    return binary_average_precision(y == 1, predictions.outputs[:, 1], weights)


def binary_calibration_error(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Expected calibration error of the probability of the positive class."""
    return expected_calibration_error(predictions.outputs[:, 1].astype(np.float64), y == 1, weights)


def top_label_calibration_error(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Expected calibration error of the probability of the most probable class."""
    top_class = predictions.outputs.argmax(axis=1)
    return expected_calibration_error(
        predictions.outputs.max(axis=1).astype(np.float64), top_class == y, weights
    )


def set_coverage(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Fraction of rows whose true class is in the prediction set."""
    return weighted_mean(predictions.regions[np.arange(len(y)), y], weights)


def mean_set_size(y: Array, predictions: Predictions, weights: Array) -> Array:
    """Mean number of classes in the prediction set."""
    return weighted_mean(predictions.regions.sum(axis=1), weights)


ACCURACY = Metric("accuracy", "accuracy", True, accuracy)
BALANCED_ACCURACY = Metric("balanced_accuracy", "balanced accuracy", True, balanced_accuracy)
MACRO_F1 = Metric("macro_f1", "macro F1", True, macro_f1)
LOG_LOSS = Metric("log_loss", "log loss", False, log_loss)
BRIER = Metric("brier", "Brier score", False, binary_brier_score)
MULTICLASS_BRIER = Metric("brier", "Brier score", False, multiclass_brier_score)
PRECISION = Metric("precision", "precision", True, precision)
RECALL = Metric("recall", "recall", True, recall)
F1 = Metric("f1", "F1", True, f1_score)
MATTHEWS_CORRCOEF = Metric("mcc", "MCC", True, matthews_corrcoef)
ROC_AUC = Metric("roc_auc", "ROC AUC", True, roc_auc)
ROC_AUC_OVR = Metric("roc_auc", "ROC AUC (macro, one-vs-rest)", True, roc_auc_ovr)
AVERAGE_PRECISION = Metric("average_precision", "average precision", True, average_precision)
BINARY_CALIBRATION_ERROR = Metric(
    "ece",
    "expected calibration error",
    False,
    binary_calibration_error,
    is_biased_upwards=True,
)
TOP_LABEL_CALIBRATION_ERROR = Metric(
    "ece",
    "expected calibration error",
    False,
    top_label_calibration_error,
    is_biased_upwards=True,
)
COVERAGE = Metric("coverage", "coverage", True, set_coverage)
MEAN_SET_SIZE = Metric("mean_set_size", "mean set size", False, mean_set_size)
