"""The share of each class, or the mean: what one can say without looking at a row."""

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
        """Take the shares of the classes, or the mean, of the training rows."""
        if job.task.output == "value":
            return ConstantModel(np.array([job.train_y.mean()]))
        counts = np.bincount(job.train_y, minlength=job.task.width(job.about)) + 1.0
        return ConstantModel(counts / counts.sum())  # Laplace's rule: no class is impossible

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
