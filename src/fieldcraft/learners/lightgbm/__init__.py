"""Boosted trees by LightGBM, with small steps and early stopping on tune rows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fieldcraft.contracts import FittedModel, ModelSpec, State, TrainingJob


class LightgbmOptions(BaseModel):
    """Settings of the boosted trees.

    The defaults are LightGBM's own but for steps half as large on three quarters of the rows,
    which made better trees on 11 of 15 tables (docs/log.md). Of more than 50 classes, each of
    which takes a tree a round, steps are as large as LightGBM's own.

    Attributes:
        learning_rate: shrinkage of each tree; 0.05 or, of very many classes, 0.1 if left out.
        num_leaves: leaves of a tree at most.
        subsample: share of the rows that each tree is grown on.
        colsample_bytree: share of the columns that each tree looks at; left out, all of up to 100, and of
            more about as many, such as of the vectors of a pretrained encoder.
        n_estimators: boosting rounds at most; left out, 2,000, and fewer for very many classes or labels.
        patience: rounds without a better tune loss before stopping.
    """

    model_config = ConfigDict(extra="forbid")
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    num_leaves: int = Field(default=31, ge=2)
    subsample: float = Field(default=0.75, gt=0, le=1)
    colsample_bytree: float | None = Field(default=None, gt=0, le=1)
    n_estimators: int | None = Field(default=None, ge=1)
    patience: int = Field(default=50, ge=1)


class LightgbmLearner:
    """Gradient-boosted decision trees (Ke et al., NeurIPS 2017)."""

    name = "lightgbm"
    title = "LightGBM"
    complexity = 3
    options = LightgbmOptions

    def fit(self, job: TrainingJob) -> FittedModel:
        """Grow trees until the tune loss stops getting better."""
        from fieldcraft.learners.lightgbm.fit import fit_lightgbm

        return fit_lightgbm(job)

    def restore(self, state: State, spec: ModelSpec) -> FittedModel:
        """The model whose state was saved."""
        from fieldcraft.learners.lightgbm.fit import LightgbmModel

        return LightgbmModel(state.values["models"], state.values["columns"], spec.task.output)


LEARNER = LightgbmLearner()
