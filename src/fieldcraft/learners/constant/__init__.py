"""The constant baseline: class or label frequencies, or the mean of the target."""

from __future__ import annotations

import numpy as np
from pydantic import BaseModel, ConfigDict

from fieldcraft.contracts import Encoded, InputFormat, ModelSpec, State, TrainingJob
from fieldcraft.core.types import Array


class ConstantOptions(BaseModel):
    """The constant baseline has no settings."""

    model_config = ConfigDict(extra="forbid")


class ConstantLearner:
    """Predicts the same for every row."""

    name = "constant"
    title = "constant baseline"
    complexity = 0
    options = ConstantOptions

    def fit(self, job: TrainingJob) -> ConstantModel:
        """Compute the class or label frequencies, or the mean, of the training rows."""
        y, rows = job.train_y, len(job.train_y)
        weights = np.ones(rows) if job.weights is None else job.weights / job.weights.mean()
        # Laplace's rule of succession for classes and labels: a probability of exactly 0 or 1 would
        # make the log loss infinite on the first row that contradicts it.
        if job.task.output == "value":
            outputs = np.array([weights @ y / rows])
        elif job.task.output == "labels":
            outputs = (weights @ y + 1) / (rows + 2)
        else:
            counts = np.bincount(y, weights, minlength=job.task.n_outputs(job.target_spec)) + 1
            outputs = counts / counts.sum()
        return ConstantModel(outputs)

    def restore(self, state: State, spec: ModelSpec) -> ConstantModel:
        """Load a saved model."""
        return ConstantModel(state.arrays["outputs"])


class ConstantModel:
    """Outputs that do not depend on the row."""

    input_format: InputFormat = "matrix"

    def __init__(self, outputs: Array) -> None:
        """Store the outputs, shape (n_outputs,)."""
        self.constant_outputs = outputs.astype(np.float32)

    def outputs(self, rows: Encoded) -> Array:
        """Repeat the outputs for each row, shape (rows, n_outputs)."""
        return np.tile(self.constant_outputs, (len(rows.matrix().values), 1))

    def state(self) -> State:
        """The state that `ConstantLearner.restore` reads."""
        return State({}, {"outputs": self.constant_outputs})

    def to_onnx(self) -> bytes:
        """The model as an ONNX graph."""
        from fieldcraft.learners.constant.export import build_constant_onnx

        return build_constant_onnx(self.constant_outputs)


LEARNER = ConstantLearner()
