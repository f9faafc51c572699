"""Weights of the linear model for a penalty: one solver for each output of a task.

The penalty is that of a sum over rows: half of it times the squared weights beside the log loss,
and all of it beside the squared error. The bias is free. A solver returns weights of shape
(columns, width) and the bias, (width,).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse, special

from fieldcraft.contracts import Array

Solver = Callable[[float], tuple[Array, Array]]  # from the penalty
SMALLEST_PENALTY = 1e-6
SOME = 1_000  # rows that the odds of a class without a training row are measured on
BLOCK = 20_000  # rows that are multiplied in double precision at a time
ENOUGH = 1e-8  # of the residual, where the sparse solver stops


@dataclass(frozen=True)
class Rows:
    """Training rows for a solver: design (an array or CSR), target, weights of mean 1."""

    design: Any
    y: Array
    weights: Array
    width: int
    steps: int

    def take(self, where: Array) -> Rows:
        """Some of the rows."""
        weights = self.weights[where]
        weights /= weights.mean()
        return replace(self, design=self.design[where], y=self.y[where], weights=weights)


def class_solver(rows: Rows) -> Solver:
    """Multinomial logistic regression by L-BFGS; each call starts where the last one ended."""
    from sklearn.linear_model import LogisticRegression

    present = np.unique(rows.y)
    target = present if len(present) > 2 else present[1:]
    model = LogisticRegression(max_iter=rows.steps, warm_start=True)

    def solve(penalty: float) -> tuple[Array, Array]:
        weights = np.zeros((rows.design.shape[1], rows.width), dtype=np.float32)
        bias = np.zeros(rows.width, dtype=np.float32)
        if len(present) > 1:
            model.set_params(C=1 / max(penalty, SMALLEST_PENALTY))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of steps, of very many classes
                model.fit(rows.design, rows.y, sample_weight=rows.weights)
            weights[:, target], bias[target] = model.coef_.T, model.intercept_
        # On average, a class without a training row has its share by Laplace's rule.
        raw = rows.design[:SOME] @ weights[:, present] + bias[present]
        others = special.logsumexp(-special.logsumexp(raw, axis=1)) - np.log(len(raw))
        absent = np.setdiff1d(np.arange(rows.width), present)
        bias[absent] = -others - np.log(len(rows.y) + len(present))
        return weights, bias

    return solve


def label_solver(rows: Rows) -> Solver:
    """One logistic regression for each label."""
    solvers = [class_solver(replace(rows, y=label, width=2)) for label in rows.y.T]

    def solve(penalty: float) -> tuple[Array, Array]:
        found = [solver(penalty) for solver in solvers]
        weights = np.stack([w[:, 1] - w[:, 0] for w, _ in found], axis=1)
        return weights, np.stack([b[1] - b[0] for _, b in found])

    return solve


def value_solver(rows: Rows) -> Solver:
    """Ridge regression: by the normal equations, or by conjugate gradients on a sparse design."""
    from sklearn.linear_model import Ridge

    if sparse.issparse(rows.design):
        design = rows.design.astype(np.float64)

        def iterate(penalty: float) -> tuple[Array, Array]:
            model = Ridge(max(penalty, SMALLEST_PENALTY), solver="sparse_cg", tol=ENOUGH)
            model.fit(design, rows.y, sample_weight=rows.weights)
            return single(model.coef_, model.intercept_)

        return iterate
    centre, square, product = moments(rows)
    mean = float(rows.weights @ rows.y / len(rows.y))

    def solve(penalty: float) -> tuple[Array, Array]:
        ridge = square + max(penalty, SMALLEST_PENALTY) * np.eye(len(square))
        weights = np.linalg.solve(ridge, product)
        return single(weights, mean - centre @ weights)

    return solve


def single(weights: Array, bias: float) -> tuple[Array, Array]:
    """Weights and bias of one output, in single precision."""
    return weights[:, None].astype(np.float32), np.array([bias], dtype=np.float32)


def moments(rows: Rows) -> tuple[Array, Array, Array]:
    """Weighted means of the columns, their centred squares, and their products with the target.

    In double precision, block by block, so that the design is not copied as a whole.
    """
    count = len(rows.y)
    blocks = [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]
    centre = sum(rows.weights[part] @ rows.design[part] for part in blocks) / count
    square = np.zeros((len(centre), len(centre)))
    product = np.zeros(len(centre))
    for part in blocks:
        moved = rows.design[part] - centre
        weighted = moved * rows.weights[part, None]
        square += weighted.T @ moved
        product += weighted.T @ rows.y[part]
    return centre, square, product


SOLVERS = {"probabilities": class_solver, "labels": label_solver, "value": value_solver}
