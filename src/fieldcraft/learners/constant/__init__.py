"""The share of each class or label, or the mean: what one can say without looking at a row."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from fieldcraft.contracts import Array, Brief, Encoded, Form, Job, State


class ConstantOptions(BaseModel):
    """There is nothing to choose."""

    model_config = ConfigDict(extra="forbid")


class ConstantLearner:
    """Predicts the same for every row."""

    name = "constant"
    title = "constant guess"
    complexity = 0
    options = ConstantOptions

    def fit(self, job: Job) -> ConstantModel:
        """Take the shares of the classes or labels, or the mean, of the training rows."""
        y, rows = job.train_y, len(job.train_y)
        weights = np.ones(rows) if job.weights is None else job.weights / job.weights.mean()
        # Laplace's rule, for classes and labels alike: none is impossible, none is certain.
        if job.task.output == "value":
            outputs = np.array([weights @ y / rows])
        elif job.task.output == "labels":
            outputs = (weights @ y + 1) / (rows + 2)
        else:
            counts = np.bincount(y, weights, minlength=job.task.width(job.about)) + 1
            outputs = counts / counts.sum()
        return ConstantModel(outputs)

    def restore(self, state: State, brief: Brief) -> ConstantModel:
        """The model whose state was saved."""
        return ConstantModel(state.arrays["outputs"])


class ConstantModel:
    """Outputs that do not depend on the row."""

    view: Form = "matrix"

    def __init__(self, outputs: Array) -> None:
        """Keep the outputs, shape (width,)."""
        self.constant = outputs.astype(np.float32)

    def outputs(self, rows: Encoded) -> Array:
        """The same outputs for each row."""
        return np.tile(self.constant, (len(rows.matrix().values), 1))

    def state(self) -> State:
        """The outputs."""
        return State({}, {"outputs": self.constant})

    def onnx(self) -> bytes:
        """A graph that repeats the outputs for each row."""
        from fieldcraft.learners.constant.export import constant_onnx

        return constant_onnx(self.constant)


LEARNER = ConstantLearner()
