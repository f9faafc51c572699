"""The one-rule baseline: the most predictive single column, in a few bins."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fieldcraft.contracts import FittedModel, ModelSpec, State
from fieldcraft.core.catalog import DeferredFunction


class RuleOptions(BaseModel):
    """Settings of the rule.

    Attributes:
        max_bins: maximum number of bins of a numeric column, besides the one for missing values.
    """

    model_config = ConfigDict(extra="forbid")
    max_bins: int = Field(default=6, ge=2)


class RuleLearner:
    """Class or label frequencies, or means, by the bins of one column.

    Holte, *Very Simple Classification Rules Perform Well on Most Commonly Used Datasets*,
    Machine Learning 11, 1993.
    """

    name = "rule"
    title = "one-rule baseline"
    complexity = 1
    options = RuleOptions

    fit = DeferredFunction("fieldcraft.learners.rule.fit:fit_rule")

    def restore(self, state: State, spec: ModelSpec) -> FittedModel:
        """Load a saved model."""
        from fieldcraft.learners.rule.fit import RuleModel

        return RuleModel(state.arrays, state.values)


LEARNER = RuleLearner()
