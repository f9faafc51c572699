"""Logistic regression for classes, ridge regression for amounts."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fieldcraft.contracts import Brief, Fitted, Job, State


class LinearOptions(BaseModel):
    """Settings of the linear model.

    Attributes:
        penalty: strength of the L2 penalty.
    """

    model_config = ConfigDict(extra="forbid")
    penalty: float = Field(default=1.0, ge=0)


class LinearLearner:
    """A weighted sum of standardised numbers and one-hot categories."""

    name = "linear"
    title = "linear model"
    complexity = 1
    options = LinearOptions

    def fit(self, job: Job) -> Fitted:
        """Fit the weights on training rows."""
        from fieldcraft.learners.linear.fit import fit_linear

        return fit_linear(job)

    def restore(self, state: State, brief: Brief) -> Fitted:
        """The model whose state was saved."""
        from fieldcraft.learners.linear.fit import LinearModel

        return LinearModel(state.arrays, brief.task.output == "probabilities")


LEARNER = LinearLearner()
