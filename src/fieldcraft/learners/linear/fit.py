"""Fit the linear model, predict with it and export it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from fieldcraft.contracts import Encoded, InputFormat, State, TrainingJob
from fieldcraft.core.types import Array
from fieldcraft.learners.linear.design import (
    build_design_matrix,
    encode_levels,
    encode_numbers,
    fit_design,
)
from fieldcraft.learners.linear.solvers import SOLVERS, Solver, SolverData

PENALTIES = (1_000.0, 100.0, 10.0, 1.0, 0.1, 0.01)  # strongest first
MIN_RELATIVE_IMPROVEMENT = 0.001  # of the validation loss, for a weaker penalty to be chosen
PENALTY_PATIENCE = 2  # penalties in a row without an improvement that end the search
MAX_SEARCH_ROWS = 20_000  # training rows for choosing the penalty
DEFAULT_PENALTY = 1.0  # if a search would take too long
MAX_ITERATIONS_RANGE = (25, 500)  # bounds of the iterations of L-BFGS
MAX_FIT_OPERATIONS = 1e11  # multiplications in one fit; limits the number of iterations
MAX_SEARCH_OPERATIONS_PER_STEP = 5e8  # multiplications per iteration; with more, no search
ACTIVATIONS = {"probabilities": "softmax", "labels": "sigmoid", "value": "identity"}


class LinearModel:
    """A weighted sum of numbers, a weight for each level, and a bias."""

    input_format: InputFormat = "matrix"

    def __init__(self, arrays: Mapping[str, Array], activation: str, penalty: float) -> None:
        """Store the fitted arrays.

        Args:
            arrays: those of `fit_design`; ``weights`` of numbers and flags, shape (columns,
                n_outputs); ``level_weights``, shape (1 + levels, n_outputs), whose first row, for
                unseen levels, is 0; and ``bias``, shape (n_outputs,).
            activation: softmax, sigmoid or identity.
            penalty: the L2 penalty of the fit.
        """
        self.arrays, self.activation, self.penalty = arrays, activation, penalty

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of classes or labels, or values, shape (rows, n_outputs)."""
        arrays, values = self.arrays, rows.matrix().values
        logits = encode_numbers(arrays, values) @ arrays["weights"] + arrays["bias"]
        for level_positions in encode_levels(arrays, values).T:
            logits += arrays["level_weights"][level_positions]
        if self.activation == "identity":
            return np.asarray(logits)
        if self.activation == "sigmoid":
            return np.asarray((1 + np.tanh(logits / 2)) / 2)  # the sigmoid without overflow
        # Subtracting the maximum cancels in the softmax and prevents overflow.
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def state(self) -> State:
        """The fitted arrays, the activation and the penalty."""
        return State({"activation": self.activation, "penalty": self.penalty}, self.arrays)

    def to_onnx(self) -> bytes:
        """The model as an ONNX graph."""
        from fieldcraft.learners.linear.export import build_linear_onnx

        return build_linear_onnx(self.arrays, self.activation)


def fit_linear(job: TrainingJob) -> LinearModel:
    """Fit logistic or ridge regression, with the requested penalty or the best one."""
    matrix = job.train.matrix()
    design_params = fit_design(matrix)
    design = build_design_matrix(design_params, matrix.values)
    operations = float(design.size) * job.task.n_outputs(job.target_spec)
    weights = np.ones(len(job.train_y)) if job.weights is None else job.weights
    solver_data = SolverData(
        design, job.train_y, weights / weights.mean(), job.task.n_outputs(job.target_spec),
        int(np.clip(MAX_FIT_OPERATIONS / max(operations, 1), *MAX_ITERATIONS_RANGE)),
    )  # fmt: skip
    make_solver = SOLVERS[job.task.output]
    requested_penalty = job.options.l2_penalty
    if requested_penalty is not None or operations > MAX_SEARCH_OPERATIONS_PER_STEP:
        penalty = DEFAULT_PENALTY if requested_penalty is None else requested_penalty
        return build_model(job, design_params, make_solver(solver_data), penalty)
    if len(job.train_y) <= MAX_SEARCH_ROWS:
        return search_penalty(job, design_params, make_solver(solver_data))
    sample = np.random.default_rng(job.seed).permutation(len(job.train_y))[:MAX_SEARCH_ROWS]
    search_model = search_penalty(
        job, design_params, make_solver(solver_data.select_rows(np.sort(sample)))
    )
    return build_model(job, design_params, make_solver(solver_data), search_model.penalty)


def search_penalty(
    job: TrainingJob, design_params: Mapping[str, Array], solve: Solver
) -> LinearModel:
    """Weaken the penalty until the validation loss stops improving or the time is up.

    The order is from strong to weak: strong penalties converge in few iterations, and each fit
    starts from the weights of the previous one.
    """
    start = time.monotonic()
    best_model, best_loss, n_waited = None, np.inf, 0
    for penalty in PENALTIES:
        job.callbacks.on_progress(f"penalty {penalty:g}", None)
        model = build_model(job, design_params, solve, penalty)
        loss = job.task.validation_loss(
            model.outputs(job.validation), job.validation_y, job.validation_weights
        )
        if best_model is None or loss < best_loss * (1 - MIN_RELATIVE_IMPROVEMENT):
            best_model, best_loss, n_waited = model, loss, 0
        else:
            n_waited += 1
        is_over_budget = job.budget is not None and time.monotonic() - start > job.budget
        if is_over_budget or n_waited == PENALTY_PATIENCE:
            break
    assert best_model is not None
    return best_model


def build_model(
    job: TrainingJob, design_params: Mapping[str, Array], solve: Solver, penalty: float
) -> LinearModel:
    """Fit the model with one penalty."""
    weights, bias = solve(penalty)
    n_levels = int(design_params["n_levels"].sum())
    numeric_weights, level_weights = (
        weights[: len(weights) - n_levels],
        weights[len(weights) - n_levels :],
    )
    unseen_weights = np.zeros((1, weights.shape[1]), dtype=np.float32)
    solver_arrays = {
        "weights": numeric_weights,
        "level_weights": np.vstack([unseen_weights, level_weights]),
        "bias": bias,
    }
    return LinearModel(
        {**design_params, **solver_arrays}, ACTIVATIONS[job.task.output], float(penalty)
    )
