"""Logistic regression for classes and labels, ridge regression for amounts."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fieldcraft.contracts import FittedModel, ModelSpec, State, TrainingJob


class LinearOptions(BaseModel):
    """Settings of the linear model.

    Attributes:
        l2: strength of the L2 penalty; left out, the one with the lowest tune loss.
    """

    model_config = ConfigDict(extra="forbid")
    l2: float | None = Field(default=None, ge=0)


class LinearLearner:
    """A weighted sum of standardised numbers and one-hot categories."""

    name = "linear"
    title = "linear model"
    complexity = 2
    options = LinearOptions

    def fit(self, job: TrainingJob) -> FittedModel:
        """Fit the weights on training rows; choose the penalty on tune rows."""
        from fieldcraft.learners.linear.fit import fit_linear

        return fit_linear(job)

    def restore(self, state: State, spec: ModelSpec) -> FittedModel:
        """The model whose state was saved."""
        from fieldcraft.learners.linear.fit import LinearModel

        return LinearModel(state.arrays, state.values["activation"], state.values["penalty"])


LEARNER = LinearLearner()
