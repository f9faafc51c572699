"""Fit, run and export the linear model."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from fieldcraft.contracts import Array, Encoded, Form, Job, State
from fieldcraft.learners.linear.design import design_of, learn_design, numbers_of, places_of
from fieldcraft.learners.linear.solve import SOLVERS, Rows, Solver

PENALTIES = (1_000.0, 100.0, 10.0, 1.0, 0.1, 0.01)  # strongest first
WORTH = 0.001  # share by which a weaker penalty must lower the tune loss
PATIENCE = 2  # penalties in a row that are not worth it, after which the search ends
SEARCH_ROWS = 20_000  # training rows that the penalty is chosen with
USUAL = 1.0  # the penalty where choosing one would take too long
STEPS = (25, 500)  # of L-BFGS: fewest and most
WORK = 1e11  # products that all steps of one fit may take, before steps are cut
SEARCH_WORK = 5e8  # products a step may take, for a search to be worth while
ACTIVATIONS = {"probabilities": "softmax", "labels": "sigmoid", "value": "identity"}


class LinearModel:
    """Numbers times weights, plus a weight for each level, plus a bias."""

    view: Form = "matrix"

    def __init__(self, arrays: Mapping[str, Array], activation: str, penalty: float) -> None:
        """Keep the fitted arrays.

        Args:
            arrays: those of `learn_design`, ``weights`` of numbers and flags (columns, width),
                ``level_weights`` (1 + levels, width) of which the first row is 0, and ``bias``.
            activation: softmax, sigmoid or identity.
            penalty: what the weights were fitted with.
        """
        self.arrays, self.activation, self.penalty = arrays, activation, penalty

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of classes or labels, or values."""
        a, values = self.arrays, rows.matrix().values
        raw = numbers_of(a, values) @ a["weights"] + a["bias"]
        for places in places_of(a, values).T:
            raw += a["level_weights"][places]
        if self.activation == "identity":
            return np.asarray(raw)
        if self.activation == "sigmoid":
            return np.asarray((1 + np.tanh(raw / 2)) / 2)
        powers = np.exp(raw - raw.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def state(self) -> State:
        """The fitted arrays, the activation and the penalty."""
        return State({"activation": self.activation, "penalty": self.penalty}, self.arrays)

    def onnx(self) -> bytes:
        """The same steps as an ONNX graph."""
        from fieldcraft.learners.linear.export import linear_onnx

        return linear_onnx(self.arrays, self.activation)


def fit_linear(job: Job) -> LinearModel:
    """Fit logistic regression or ridge regression, at the penalty asked for or the best one."""
    matrix = job.train.matrix()
    learned = learn_design(matrix)
    design = design_of(learned, matrix.values)
    work = float(design.size) * job.task.width(job.about)
    weights = np.ones(len(job.train_y)) if job.weights is None else job.weights
    rows = Rows(
        design, job.train_y, weights / weights.mean(), job.task.width(job.about),
        int(np.clip(WORK / max(work, 1), *STEPS)),
    )  # fmt: skip
    make = SOLVERS[job.task.output]
    if job.options.penalty is not None or work > SEARCH_WORK:
        penalty = USUAL if job.options.penalty is None else job.options.penalty
        return assemble(job, learned, make(rows), penalty)
    if len(job.train_y) <= SEARCH_ROWS:
        return best_penalty(job, learned, make(rows))
    chosen = np.random.default_rng(job.seed).permutation(len(job.train_y))[:SEARCH_ROWS]
    found = best_penalty(job, learned, make(rows.take(np.sort(chosen))))
    return assemble(job, learned, make(rows), found.penalty)


def best_penalty(job: Job, learned: Mapping[str, Array], solve: Solver) -> LinearModel:
    """Weaken the penalty until that is no longer worth it, or the time is over."""
    start = time.monotonic()
    best, lowest, waited = None, np.inf, 0
    for penalty in PENALTIES:
        job.progress(f"penalty {penalty:g}", None)
        model = assemble(job, learned, solve, penalty)
        loss = job.task.validation_loss(model.outputs(job.tune), job.tune_y, job.tune_weights)
        if best is None or loss < lowest * (1 - WORTH):
            best, lowest, waited = model, loss, 0
        else:
            waited += 1
        late = job.budget is not None and time.monotonic() - start > job.budget
        if late or waited == PATIENCE:
            break
    assert best is not None
    return best


def assemble(job: Job, learned: Mapping[str, Array], solve: Solver, penalty: float) -> LinearModel:
    """The model at one penalty."""
    weights, bias = solve(penalty)
    levels = int(learned["levels"].sum())
    numbers, hot = weights[: len(weights) - levels], weights[len(weights) - levels :]
    unseen = np.zeros((1, weights.shape[1]), dtype=np.float32)
    fitted = {"weights": numbers, "level_weights": np.vstack([unseen, hot]), "bias": bias}
    return LinearModel({**learned, **fitted}, ACTIVATIONS[job.task.output], float(penalty))
