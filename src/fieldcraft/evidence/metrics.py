"""Metrics as functions of row weights, so that a thousand resamples cost one call.

Every metric takes the true target, what the model says and weights of shape (resamples, rows),
and returns one value per resample. Class targets are indexes into the classes, label targets
0 or 1 of shape (rows, labels). Binary metrics take the second class as the positive one. Where a
metric is not defined on a resample (one class missing), its value is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
SMALLEST = 1e-15  # probabilities are kept this far from 0 and 1 before a logarithm
ROUNDING = 1e-12  # a variance below this share of the mean square is zero


@dataclass(frozen=True)
class Said:
    """What a model says about rows, in the forms that metrics read.

    Attributes:
        outputs: probabilities (rows, classes) or (rows, labels), or values (rows, 1).
        decisions: class indexes (rows,), labels 0 or 1 (rows, labels), or values (rows,).
        regions: what holds the truth at the stated coverage: which classes (rows, classes),
            which labels may be either way (rows, labels, 2), or low and high (rows, 2).
        coverage: share of rows that the regions are to hold.
    """

    outputs: Array
    decisions: Array
    regions: Array
    coverage: float = 0.9


@dataclass(frozen=True)
class Metric:
    """A named measure of how good predictions are."""

    name: str
    title: str
    greater_is_better: bool
    values: Callable[[Array, Said, Array], Array]
    unit: str = ""


def _mean(per_row: Array, weights: Array) -> Array:
    return np.asarray((weights @ per_row.astype(np.float64)) / weights.sum(axis=1))


def _ratio(above: Array, below: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(above / below, dtype=np.float64)


def _decided(outputs: Array) -> Array:
    return np.asarray(outputs.argmax(axis=1))


def accuracy(y: Array, outputs: Array, weights: Array) -> Array:
    """Share of rows whose likeliest class is the true one."""
    return _mean(_decided(outputs) == y, weights)


def balanced_accuracy(y: Array, outputs: Array, weights: Array) -> Array:
    """Mean over the classes of the share of their rows that are found (mean recall)."""
    right = _decided(outputs) == y
    present = np.unique(y)
    recalls = [_ratio(weights @ (right & (y == k)), weights @ (y == k)) for k in present]
    return np.asarray(np.nanmean(recalls, axis=0))


def macro_f1(y: Array, outputs: Array, weights: Array) -> Array:
    """Mean over the classes of the harmonic mean of precision and recall."""
    predicted = _decided(outputs)
    scores = []
    for k in np.union1d(y, predicted):
        hit = weights @ ((predicted == k) & (y == k)).astype(np.float64)
        both = weights @ (predicted == k) + weights @ (y == k)
        scores.append(_ratio(2 * hit, both))
    return np.asarray(np.nanmean(scores, axis=0))


def log_loss(y: Array, outputs: Array, weights: Array) -> Array:
    """Mean negative log-probability given to the true class."""
    chosen = outputs[np.arange(len(y)), y].astype(np.float64)
    return _mean(-np.log(np.clip(chosen, SMALLEST, 1)), weights)


def brier(y: Array, outputs: Array, weights: Array) -> Array:
    """Mean squared error of the probability of the positive class (Brier 1950)."""
    return _mean((outputs[:, 1].astype(np.float64) - (y == 1)) ** 2, weights)


def precision(y: Array, outputs: Array, weights: Array) -> Array:
    """Share of the rows called positive that are."""
    called = _decided(outputs) == 1
    return _ratio(weights @ (called & (y == 1)), weights @ called)


def recall(y: Array, outputs: Array, weights: Array) -> Array:
    """Share of the positive rows that are called positive."""
    called = _decided(outputs) == 1
    return _ratio(weights @ (called & (y == 1)), weights @ (y == 1))


def f1(y: Array, outputs: Array, weights: Array) -> Array:
    """Harmonic mean of precision and recall of the positive class."""
    called, positive = _decided(outputs) == 1, y == 1
    both = weights @ called + weights @ positive
    return _ratio(2 * (weights @ (called & positive)), both)


def matthews(y: Array, outputs: Array, weights: Array) -> Array:
    """Matthews correlation coefficient of decisions and truth (Matthews 1975)."""
    called, positive = _decided(outputs) == 1, y == 1
    w = weights.astype(np.float64)
    tp, fp = w @ (called & positive), w @ (called & ~positive)
    fn, tn = w @ (~called & positive), w @ (~called & ~positive)
    return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _ranked(y: Array, outputs: Array, weights: Array) -> tuple[Array, Array, Array]:
    """Weights of positives and negatives in falling order of score, and ends of runs of ties."""
    score = outputs[:, 1]
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    ordered = weights[:, order].astype(np.float64)
    positive = y[order] == 1
    hits = np.cumsum(ordered * positive, axis=1)[:, ends]
    misses = np.cumsum(ordered * ~positive, axis=1)[:, ends]
    return hits, misses, ends


def roc_auc(y: Array, outputs: Array, weights: Array) -> Array:
    """Chance that a positive row is ranked above a negative one, ties counting half."""
    hits, misses, _ = _ranked(y, outputs, weights)
    start = np.zeros((len(weights), 1))
    area = np.trapezoid(np.hstack([start, hits]), np.hstack([start, misses]), axis=1)
    return _ratio(area, hits[:, -1] * misses[:, -1])


def average_precision(y: Array, outputs: Array, weights: Array) -> Array:
    """Area under the precision-recall curve, summed step by step (average precision)."""
    hits, misses, _ = _ranked(y, outputs, weights)
    steps = np.diff(np.hstack([np.zeros((len(weights), 1)), hits]), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num(hits / (hits + misses))
    return _ratio((steps * share).sum(axis=1), hits[:, -1])


def mae(y: Array, outputs: Array, weights: Array) -> Array:
    """Mean absolute error, in units of the target."""
    return _mean(np.abs(outputs[:, 0].astype(np.float64) - y), weights)


def rmse(y: Array, outputs: Array, weights: Array) -> Array:
    """Root of the mean squared error, in units of the target."""
    return np.sqrt(_mean((outputs[:, 0].astype(np.float64) - y) ** 2, weights))


def r2(y: Array, outputs: Array, weights: Array) -> Array:
    """Share of the target's variance that is explained (coefficient of determination)."""
    residual = _mean((outputs[:, 0].astype(np.float64) - y) ** 2, weights)
    centred = y - y.mean()  # against cancellation when the mean is far from zero
    square = _mean(centred**2, weights)
    spread = square - _mean(centred, weights) ** 2
    # What rounding leaves of a constant target is not variance.
    return 1 - _ratio(residual, np.where(spread > ROUNDING * square, spread, np.nan))


ACCURACY = Metric("accuracy", "accuracy", True, accuracy)
BALANCED_ACCURACY = Metric("balanced_accuracy", "balanced accuracy", True, balanced_accuracy)
MACRO_F1 = Metric("macro_f1", "macro F1", True, macro_f1)
LOG_LOSS = Metric("log_loss", "log loss", False, log_loss)
BRIER = Metric("brier", "Brier score", False, brier)
PRECISION = Metric("precision", "precision", True, precision)
RECALL = Metric("recall", "recall", True, recall)
F1 = Metric("f1", "F1", True, f1)
MATTHEWS = Metric("mcc", "MCC", True, matthews)
ROC_AUC = Metric("roc_auc", "ROC AUC", True, roc_auc)
AVERAGE_PRECISION = Metric("average_precision", "PR AUC", True, average_precision)
MAE = Metric("mae", "MAE", False, mae, "target")
RMSE = Metric("rmse", "RMSE", False, rmse, "target")
R2 = Metric("r2", "R²", True, r2)
