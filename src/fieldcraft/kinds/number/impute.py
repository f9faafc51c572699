"""Impute missing values from the other columns, by iterated ridge regressions.

Buck, JRSS B 22, 1960; van Buuren and Groothuis-Oudshoorn, *mice*, J. Stat. Software 45, 2011.
Single instead of multiple imputation: a prediction needs a good estimate, not its uncertainty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from fieldcraft.contracts import State
from fieldcraft.core.types import Array

IMPUTATION_ROUNDS = 3
MAX_PREDICTOR_COLUMNS = 30  # the columns most correlated with the imputed one
MAX_FIT_ROWS = 50_000
RIDGE_ALPHA_PER_ROW = 1e-3
MIN_STD = 1e-100
MAX_ABS_ZSCORE = 10.0  # predictors are clipped to it
INTERCEPT_ALPHA = 1e-9  # practically no penalty, but without rows the system stays regular


@dataclass
class ColumnImputer:
    """Ridge models of one column, one per round, on standardized predictor columns."""

    column: int
    predictors: list[int]
    weights: Array  # (rounds, predictors + 1), the intercept last
    low: float
    high: float

    def predict(self, columns: Sequence[Array], rows: Array, round_index: int) -> Array:
        """Predict some rows.

        Sums column by column, as the rounding of a matrix product depends on the other rows.
        """
        weights = self.weights[round_index]
        predictions = np.full(len(rows), weights[-1])
        for predictor, weight in zip(self.predictors, weights[:-1], strict=True):
            predictions += weight * np.clip(
                columns[predictor][rows], -MAX_ABS_ZSCORE, MAX_ABS_ZSCORE
            )
        return np.asarray(np.clip(predictions, self.low, self.high))


class IterativeImputer:
    """Imputes several columns, each from all others, in a few rounds."""

    def __init__(self, means: Array, stds: Array, models: list[ColumnImputer]) -> None:
        """Keep fitted models, and the mean and standard deviation of each column."""
        self.means, self.stds, self.models = means, stds, models

    def state(self) -> State:
        """The fitted models."""
        arrays = {f"imputer_weights.{model.column}": model.weights for model in self.models}
        models = [asdict(model) for model in self.models]
        for model in models:
            del model["weights"]
        return State(
            {"models": models}, {**arrays, "imputer_means": self.means, "imputer_stds": self.stds}
        )

    @classmethod
    def from_state(cls, state: State) -> IterativeImputer:
        """Load a fitted state."""
        models = [
            ColumnImputer(**model, weights=state.arrays[f"imputer_weights.{model['column']}"])
            for model in state.values["models"]
        ]
        return cls(state.arrays["imputer_means"], state.arrays["imputer_stds"], models)

    def impute(self, columns: Sequence[Array], missing_masks: Sequence[Array]) -> list[Array]:
        """Replace the initial values of missing cells by predictions.

        Args:
            columns: columns with initial values in missing cells.
            missing_masks: for each column, true where the cell is missing.
        """
        standardized = [
            (column - mean) / std
            for column, mean, std in zip(columns, self.means, self.stds, strict=True)
        ]
        missing_rows = {
            model.column: np.flatnonzero(missing_masks[model.column]) for model in self.models
        }
        for round_index in range(IMPUTATION_ROUNDS):
            for model in self.models:
                rows = missing_rows[model.column]
                standardized[model.column][rows] = model.predict(standardized, rows, round_index)
        imputed = list(columns)
        for i, rows in missing_rows.items():
            imputed[i] = columns[i].copy()
            imputed[i][rows] = standardized[i][rows] * self.stds[i] + self.means[i]
        return imputed


def fit_iterative_imputer(
    columns: Sequence[Array], missing_masks: Sequence[Array], target_columns: Sequence[int]
) -> IterativeImputer:
    """Fit an imputer of some columns on the training rows.

    Args:
        columns: columns with initial values in missing cells.
        missing_masks: for each column, true where the cell is missing.
        target_columns: positions of the columns to impute.
    """
    # An evenly spaced sample, which covers all times of a table that is ordered by time.
    stride = max(1, -(-len(columns[0]) // MAX_FIT_ROWS))
    columns, missing_masks = (
        [array[::stride] for array in arrays] for arrays in (columns, missing_masks)
    )
    means = np.array([column.mean() for column in columns])
    stds = np.array([max(column.std(), MIN_STD) for column in columns])
    standardized = [
        (column - mean) / std for column, mean, std in zip(columns, means, stds, strict=True)
    ]
    models = [init_column_imputer(standardized, missing_masks, i) for i in target_columns]
    for round_index in range(IMPUTATION_ROUNDS):
        for model in models:
            fit_round(model, standardized, missing_masks[model.column], round_index)
    return IterativeImputer(means, stds, models)


def init_column_imputer(
    standardized: Sequence[Array], missing_masks: Sequence[Array], column: int
) -> ColumnImputer:
    """Choose the predictors of a column and its range; the weights are still 0."""
    present = ~missing_masks[column]
    observed = standardized[column][present] if present.any() else np.zeros(1)
    association = {
        i: abs(float(np.mean(values[present] * observed))) if present.any() else 0.0
        for i, values in enumerate(standardized)
        if i != column
    }
    # Sorted by column, so that rounding does not depend on the order of the correlations.
    predictors = sorted(sorted(association, key=lambda i: -association[i])[:MAX_PREDICTOR_COLUMNS])
    weights = np.zeros((IMPUTATION_ROUNDS, len(predictors) + 1))
    return ColumnImputer(column, predictors, weights, float(observed.min()), float(observed.max()))


def fit_round(
    model: ColumnImputer, standardized: Sequence[Array], is_missing: Array, round_index: int
) -> None:
    """Fit one round of a model, and write its predictions into the missing cells."""
    present, rows = ~is_missing, np.flatnonzero(is_missing)
    predictor_values = [
        np.clip(standardized[i][present], -MAX_ABS_ZSCORE, MAX_ABS_ZSCORE) for i in model.predictors
    ]
    design = np.stack([*predictor_values, np.ones(present.sum())], axis=1)
    penalty = RIDGE_ALPHA_PER_ROW * max(len(design), 1) * np.eye(design.shape[1])
    penalty[-1, -1] = INTERCEPT_ALPHA
    observed = standardized[model.column][present]
    model.weights[round_index] = np.linalg.solve(design.T @ design + penalty, design.T @ observed)
    standardized[model.column][rows] = model.predict(standardized, rows, round_index)
