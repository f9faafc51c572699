"""Fit, run and export the linear model."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from fieldcraft.contracts import Array, Encoded, Form, Job, Matrix, State

STEPS = 500
FARTHEST = 10.0  # standard deviations at which a number stops, against wild extrapolation


class LinearModel:
    """Standardise, fill with the mean, one-hot, multiply, add.

    A matrix column with levels becomes one 0/1 column a level; code 0 (unseen) is all zeros. A
    number column that misses values in training rows brings a flag column.
    """

    view: Form = "matrix"

    def __init__(self, arrays: Mapping[str, Array], softmax: bool) -> None:
        """Keep the fitted arrays: see `learn_design` and `fit_linear`."""
        self.arrays = arrays
        self.softmax = softmax

    def design(self, values: Array) -> Array:
        """The columns that the weights multiply, shape (rows, weights)."""
        a = self.arrays
        numbers = (values[:, a["numeric"]] - a["centre"]) / a["spread"]
        filled = np.clip(np.nan_to_num(numbers, nan=0.0), -FARTHEST, FARTHEST)
        flags = np.isnan(values[:, a["flagged"]])
        hot = values[:, a["hot_column"]] == a["hot_code"]
        return np.hstack([filled, flags, hot]).astype(np.float32)

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of the classes, or values."""
        raw = self.design(rows.matrix().values) @ self.arrays["weights"] + self.arrays["bias"]
        if not self.softmax:
            return np.asarray(raw, dtype=np.float32)
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)

    def state(self) -> State:
        """The fitted arrays."""
        return State({}, self.arrays)

    def onnx(self) -> bytes:
        """The same steps as an ONNX graph."""
        from fieldcraft.learners.linear.export import linear_onnx

        return linear_onnx(self.arrays, self.softmax, FARTHEST)


def learn_design(matrix: Matrix) -> dict[str, Array]:
    """What `LinearModel.design` needs, from training rows."""
    levels = np.array(matrix.levels, dtype=np.int64)
    numeric = np.flatnonzero(levels == 0)
    values = matrix.values[:, numeric]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column may be empty
        centre, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    sizes = [int(levels[column]) for column in np.flatnonzero(levels)]
    columns = np.repeat(np.flatnonzero(levels), sizes)
    codes = np.array([code for size in sizes for code in range(1, size + 1)])
    return {
        "numeric": numeric,
        "centre": np.nan_to_num(centre).astype(np.float32),
        "spread": np.where(np.nan_to_num(spread) > 0, spread, 1).astype(np.float32),
        "flagged": numeric[np.isnan(values).any(axis=0)],
        "hot_column": columns.astype(np.int64),
        "hot_code": codes.astype(np.float32),
    }


def fit_linear(job: Job) -> LinearModel:
    """Fit logistic regression (L-BFGS) or ridge regression (closed form)."""
    matrix = job.train.matrix()
    learned = learn_design(matrix)
    softmax = job.task.output == "probabilities"
    design = LinearModel(learned, softmax).design(matrix.values)
    width = job.task.width(job.about)
    weights = np.zeros((design.shape[1], width), dtype=np.float32)
    bias = np.zeros(width, dtype=np.float32)
    penalty = job.options.penalty
    if not softmax:
        ridge = Ridge(alpha=max(penalty, 1e-6)).fit(design, job.train_y)
        weights[:, 0], bias[0] = ridge.coef_, ridge.intercept_
    else:
        bias[:] = -30.0  # a class without a training row stays out of reach
        present = np.unique(job.train_y)
        bias[present] = 0.0
        if len(present) > 1:
            model = LogisticRegression(C=1 / max(penalty, 1e-6), max_iter=STEPS)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(design, job.train_y)
            target = present if len(present) > 2 else present[1:]
            weights[:, target], bias[target] = model.coef_.T, model.intercept_
    return LinearModel({**learned, "weights": weights, "bias": bias}, softmax)
