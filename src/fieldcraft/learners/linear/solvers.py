"""Solvers of the linear model, one per output type of a task.

The penalty is added to a sum over rows: half of it times the squared weights for the log loss,
all of it for the squared error, as in scikit-learn. The bias is not penalized. A solver returns
weights of shape (columns, n_outputs) and the bias, (n_outputs,).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse, special

from fieldcraft.core.types import Array

Solver = Callable[[float], tuple[Array, Array]]  # from the penalty
MIN_PENALTY = 1e-6  # keeps the normal equations solvable if columns are equal
ABSENT_CLASS_BIAS_ROWS = 1_000  # rows on which the bias of an absent class is computed
BLOCK_ROWS = 20_000  # rows per block of products in double precision
SPARSE_TOLERANCE = 1e-8  # relative residual at which conjugate gradients stop


@dataclass(frozen=True)
class SolverData:
    """Training rows for a solver: design (array or CSR), target, row weights of mean 1."""

    design: Any
    y: Array
    weights: Array
    n_outputs: int
    max_iterations: int

    def select_rows(self, indices: Array) -> SolverData:
        """A subset of the rows, with weights rescaled to mean 1."""
        weights = self.weights[indices]
        weights /= weights.mean()
        return replace(self, design=self.design[indices], y=self.y[indices], weights=weights)


def make_class_solver(data: SolverData) -> Solver:
    """Multinomial logistic regression by L-BFGS; each call starts from the last solution."""
    from sklearn.linear_model import LogisticRegression

    present_classes = np.unique(data.y)
    fitted_outputs = present_classes if len(present_classes) > 2 else present_classes[1:]
    model = LogisticRegression(max_iter=data.max_iterations, warm_start=True)

    def solve(penalty: float) -> tuple[Array, Array]:
        weights = np.zeros((data.design.shape[1], data.n_outputs), dtype=np.float32)
        bias = np.zeros(data.n_outputs, dtype=np.float32)
        if len(present_classes) > 1:
            model.set_params(C=1 / max(penalty, MIN_PENALTY))
            with warnings.catch_warnings():
                # About the iteration limit, and about many classes for the number of rows.
                warnings.simplefilter("ignore", UserWarning)
                model.fit(data.design, data.y, sample_weight=data.weights)
            weights[:, fitted_outputs], bias[fitted_outputs] = model.coef_.T, model.intercept_
        # A class of the task may have no training row in this fold. A bias of 0 would give it an
        # arbitrary probability, one of minus infinity an infinite loss. Its weights are 0 and its
        # bias b is chosen so that its mean probability is about 1 / (rows + present classes), as
        # Laplace's rule has it: with Z the sum of exponentials over the present classes, it is
        # exp(b) * mean(1 / Z), so b = -log mean(1 / Z) - log(rows + present classes). The mean
        # over some rows is enough, since only the order of magnitude matters.
        logits = (
            data.design[:ABSENT_CLASS_BIAS_ROWS] @ weights[:, present_classes]
            + bias[present_classes]
        )
        log_mean_inverse = special.logsumexp(-special.logsumexp(logits, axis=1)) - np.log(
            len(logits)
        )
        absent_classes = np.setdiff1d(np.arange(data.n_outputs), present_classes)
        bias[absent_classes] = -log_mean_inverse - np.log(len(data.y) + len(present_classes))
        return weights, bias

    return solve


def make_label_solver(data: SolverData) -> Solver:
    """One logistic regression per label."""
    solvers = [make_class_solver(replace(data, y=label, n_outputs=2)) for label in data.y.T]

    def solve(penalty: float) -> tuple[Array, Array]:
        solutions = [solver(penalty) for solver in solvers]
        # A softmax over two classes is a sigmoid of the difference of their logits.
        weights = np.stack([w[:, 1] - w[:, 0] for w, _ in solutions], axis=1)
        return weights, np.stack([b[1] - b[0] for _, b in solutions])

    return solve


def make_value_solver(data: SolverData) -> Solver:
    """Ridge regression: normal equations, or conjugate gradients for a sparse design."""
    from sklearn.linear_model import Ridge

    if sparse.issparse(data.design):
        design = data.design.astype(np.float64)

        def solve_sparse(penalty: float) -> tuple[Array, Array]:
            model = Ridge(max(penalty, MIN_PENALTY), solver="sparse_cg", tol=SPARSE_TOLERANCE)
            model.fit(design, data.y, sample_weight=data.weights)
            return to_single_output(model.coef_, model.intercept_)

        return solve_sparse
    mean_columns, gram, cross_product = compute_moments(data)
    mean = float(data.weights @ data.y / len(data.y))

    def solve(penalty: float) -> tuple[Array, Array]:
        regularized = gram + max(penalty, MIN_PENALTY) * np.eye(len(gram))
        weights = np.linalg.solve(regularized, cross_product)
        return to_single_output(weights, mean - mean_columns @ weights)

    return solve


def to_single_output(weights: Array, bias: float) -> tuple[Array, Array]:
    """Weights and bias of a single output, in single precision."""
    return weights[:, None].astype(np.float32), np.array([bias], dtype=np.float32)


def compute_moments(data: SolverData) -> tuple[Array, Array, Array]:
    """Weighted column means, centered Gram matrix, and products with the target.

    Double precision is needed because large numbers lose their variance in float32 sums. The rows
    are converted block by block, so that the design is not copied as a whole.
    """
    n_rows = len(data.y)
    blocks = [slice(start, start + BLOCK_ROWS) for start in range(0, n_rows, BLOCK_ROWS)]
    mean = sum(data.weights[block] @ data.design[block] for block in blocks) / n_rows
    gram = np.zeros((len(mean), len(mean)))
    cross_product = np.zeros(len(mean))
    for block in blocks:
        centered = data.design[block] - mean
        weighted = centered * data.weights[block, None]
        gram += weighted.T @ centered
        cross_product += weighted.T @ data.y[block]
    return mean, gram, cross_product


SOLVERS = {
    "probabilities": make_class_solver,
    "labels": make_label_solver,
    "value": make_value_solver,
}
