"""Logistic regression for classes and labels, ridge regression for values."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fieldcraft.contracts import FittedModel, ModelSpec, State
from fieldcraft.core.catalog import DeferredFunction


class LinearOptions(BaseModel):
    """Settings of the linear model.

    Attributes:
        l2_penalty: strength of the L2 penalty; by default the one with the lowest validation loss.
    """

    model_config = ConfigDict(extra="forbid")
    l2_penalty: float | None = Field(default=None, ge=0)


class LinearLearner:
    """A linear model on standardized numbers and one-hot categories."""

    name = "linear"
    title = "linear model"
    complexity = 2
    options = LinearOptions

    fit = DeferredFunction("fieldcraft.learners.linear.fit:fit_linear")

    def restore(self, state: State, spec: ModelSpec) -> FittedModel:
        """Load a saved model."""
        from fieldcraft.learners.linear.fit import LinearModel

        return LinearModel(state.arrays, state.values["activation"], state.values["penalty"])


LEARNER = LinearLearner()
