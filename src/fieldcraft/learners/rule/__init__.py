"""One rule: what the single most telling column says, in a few bins."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fieldcraft.contracts import FittedModel, ModelSpec, State, TrainingJob


class RuleOptions(BaseModel):
    """Settings of the rule.

    Attributes:
        bins: bins of a number column at most, beside the one for missing values.
    """

    model_config = ConfigDict(extra="forbid")
    bins: int = Field(default=6, ge=2)


class RuleLearner:
    """Class shares or means by the bins of one column.

    Holte, *Very Simple Classification Rules Perform Well on Most Commonly Used Datasets*,
    Machine Learning 11, 1993.
    """

    name = "rule"
    title = "one rule"
    complexity = 1
    options = RuleOptions

    def fit(self, job: TrainingJob) -> FittedModel:
        """Bin every column on training rows; keep the one with the lowest tune loss."""
        from fieldcraft.learners.rule.fit import fit_rule

        return fit_rule(job)

    def restore(self, state: State, spec: ModelSpec) -> FittedModel:
        """The model whose state was saved."""
        from fieldcraft.learners.rule.fit import RuleModel

        return RuleModel(state.arrays, state.values)


LEARNER = RuleLearner()
