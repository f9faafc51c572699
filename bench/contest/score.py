"""Figures of predictions on test rows, by scikit-learn: nobody is judged by their own metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from sklearn import metrics

Array = npt.NDArray[np.float64]
Metric = Callable[[Array, Array], float]

MIN_PROBABILITY = 1e-7  # probability; what float32 can tell from none
N_RESAMPLES = 100  # of the bootstrap


def log_loss(y: Array, outputs: Array) -> float:
    """Mean negative logarithm of the probability of the true class."""
    return float(-np.log(outputs[np.arange(len(y)), y.astype(int)]).mean())


METRICS: Mapping[str, Mapping[str, Metric]] = {  # the first of each task decides
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
    """The metric by which methods are compared."""
    return next(iter(METRICS[task]))


def clip_probabilities(task: str, outputs: Array) -> Array:
    """Probabilities of at least 1e-7 that add up to 1; values as they are."""
    if task == "regression":
        return outputs
    clipped = np.clip(outputs, MIN_PROBABILITY, 1.0)
    normalized: Array = clipped / clipped.sum(axis=1, keepdims=True)
    return normalized


def compute_metrics(task: str, y: Array, outputs: Array) -> dict[str, float]:
    """Every figure of a task."""
    outputs = clip_probabilities(task, outputs)
    return {name: metric(y, outputs) for name, metric in METRICS[task].items()}


def resample_metric(task: str, y: Array, outputs: Array) -> list[float]:
    """The main figure on bootstrap resamples of the rows, the same resamples for every method.

    So the differences of two methods' lists tell how sure their difference is.
    """
    outputs = clip_probabilities(task, outputs)
    metric = METRICS[task][main_metric(task)]
    random = np.random.default_rng(0)
    draws = (random.integers(len(y), size=len(y)) for _ in range(N_RESAMPLES))
    return [float(f"{metric(y[rows], outputs[rows]):.7g}") for rows in draws]
