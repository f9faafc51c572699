"""The share of each class or label, or the mean: what one can say without looking at a row."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from fieldcraft.contracts import Encoded, InputFormat, ModelSpec, State, TrainingJob
from fieldcraft.core.types import Array


class ConstantOptions(BaseModel):
    """There is nothing to choose."""

    model_config = ConfigDict(extra="forbid")


class ConstantLearner:
    """Predicts the same for every row."""

    name = "constant"
    title = "constant guess"
    complexity = 0
    options = ConstantOptions

    def fit(self, job: TrainingJob) -> ConstantModel:
        """Take the shares of the classes or labels, or the mean, of the training rows."""
        y, rows = job.train_y, len(job.train_y)
        weights = np.ones(rows) if job.weights is None else job.weights / job.weights.mean()
        # Laplace's rule, for classes and labels alike: none is impossible, none is certain.
        if job.task.output == "value":
            outputs = np.array([weights @ y / rows])
        elif job.task.output == "labels":
            outputs = (weights @ y + 1) / (rows + 2)
        else:
            counts = np.bincount(y, weights, minlength=job.task.n_outputs(job.target_spec)) + 1
            outputs = counts / counts.sum()
        return ConstantModel(outputs)

    def restore(self, state: State, spec: ModelSpec) -> ConstantModel:
        """The model whose state was saved."""
        return ConstantModel(state.arrays["outputs"])


class ConstantModel:
    """Outputs that do not depend on the row."""

    input_format: InputFormat = "matrix"

    def __init__(self, outputs: Array) -> None:
        """Keep the outputs, shape (width,)."""
        self.constant_outputs = outputs.astype(np.float32)

    def outputs(self, rows: Encoded) -> Array:
        """The same outputs for each row."""
        return np.tile(self.constant_outputs, (len(rows.matrix().values), 1))

    def state(self) -> State:
        """The outputs."""
        return State({}, {"outputs": self.constant_outputs})

    def to_onnx(self) -> bytes:
        """A graph that repeats the outputs for each row."""
        from fieldcraft.learners.constant.export import build_constant_onnx

        return build_constant_onnx(self.constant_outputs)


LEARNER = ConstantLearner()
