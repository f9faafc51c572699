"""Metrics of predictions on test rows, computed by scikit-learn for all methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from sklearn import metrics

Array = npt.NDArray[np.float64]
Metric = Callable[[Array, Array], float]

MIN_PROBABILITY = 1e-7  # about the precision of float32
N_RESAMPLES = 100  # of the bootstrap


def log_loss(y: Array, outputs: Array) -> float:
    """Return the mean negative logarithm of the probability of the true class."""
    return float(-np.log(outputs[np.arange(len(y)), y.astype(int)]).mean())


METRICS: Mapping[str, Mapping[str, Metric]] = {  # the first one of each task is the main metric
    "binary": {
        "roc_auc": lambda y, out: float(metrics.roc_auc_score(y, out[:, 1])),
        "log_loss": log_loss,
        "accuracy": lambda y, out: float((out.argmax(axis=1) == y).mean()),
    },
    "multiclass": {
        "log_loss": log_loss,
        "accuracy": lambda y, out: float((out.argmax(axis=1) == y).mean()),
    },
    "regression": {
        "rmse": lambda y, out: float(metrics.root_mean_squared_error(y, out[:, 0])),
        "mae": lambda y, out: float(metrics.mean_absolute_error(y, out[:, 0])),
    },
}
GREATER_IS_BETTER = ("roc_auc", "accuracy")


def main_metric(task: str) -> str:
    """Return the metric by which methods are compared."""
    return next(iter(METRICS[task]))


def clip_probabilities(task: str, outputs: Array) -> Array:
    """Clip probabilities to at least 1e-7 and normalize them; values are unchanged."""
    if task == "regression":
        return outputs
    clipped = np.clip(outputs, MIN_PROBABILITY, 1.0)
    normalized: Array = clipped / clipped.sum(axis=1, keepdims=True)
    return normalized


def compute_metrics(task: str, y: Array, outputs: Array) -> dict[str, float]:
    """Compute all metrics of a task."""
    outputs = clip_probabilities(task, outputs)
    return {name: metric(y, outputs) for name, metric in METRICS[task].items()}


def resample_metric(task: str, y: Array, outputs: Array) -> list[float]:
    """Compute the main metric on bootstrap resamples, the same ones for every method.

    The differences of two methods' lists therefore show the uncertainty of their difference.
    """
    outputs = clip_probabilities(task, outputs)
    metric = METRICS[task][main_metric(task)]
    rng = np.random.default_rng(0)
    resamples = (rng.integers(len(y), size=len(y)) for _ in range(N_RESAMPLES))
    return [float(f"{metric(y[rows], outputs[rows]):.7g}") for rows in resamples]
