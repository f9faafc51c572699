"""Gradient-boosted trees by LightGBM, with early stopping on the validation rows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from fieldcraft.contracts import FittedModel, ModelSpec, State
from fieldcraft.core.catalog import DeferredFunction


class LightgbmOptions(BaseModel):
    """Settings of the boosted trees.

    The defaults are LightGBM's own, except that the learning rate is halved and each tree is
    grown on three quarters of the rows, which was better on 11 of 15 tables (docs/log.md). With
    more than 50 classes the learning rate is LightGBM's own too: each round then takes one tree per
    class.

    Attributes:
        learning_rate: shrinkage of each tree; by default 0.05, or 0.1 with more than 50 classes.
        num_leaves: maximum number of leaves per tree.
        subsample: fraction of the rows that each tree is grown on.
        colsample_bytree: fraction of the columns that each tree may use; by default at most about
            100 columns, because the embeddings of a pretrained encoder may have thousands.
        n_estimators: maximum number of boosting rounds; by default 2,000, or fewer with many
            classes or labels.
        patience: rounds without a better validation loss before training stops.
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

    fit = DeferredFunction("fieldcraft.learners.lightgbm.fit:fit_lightgbm")

    def restore(self, state: State, spec: ModelSpec) -> FittedModel:
        """Load a saved model."""
        from fieldcraft.learners.lightgbm.fit import LightgbmModel

        return LightgbmModel(state.values["models"], state.values["columns"], spec.task.output)


LEARNER = LightgbmLearner()
