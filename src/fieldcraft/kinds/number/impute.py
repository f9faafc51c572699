"""Fill gaps in some columns from the other columns, by ridge regressions in rounds.

Buck (1960); van Buuren and Groothuis-Oudshoorn, *mice*, J. Stat. Software 2011, with one fill
instead of several: what is wanted is a sound guess, not the spread of guesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from fieldcraft.contracts import State
from fieldcraft.core.types import Array

IMPUTATION_ROUNDS = 3
MAX_PREDICTOR_COLUMNS = 30  # columns that a gap is filled from, those that go most with the column
MAX_FIT_ROWS = 50_000  # that are learned from
RIDGE_ALPHA_PER_ROW = 1e-3  # of the rows, added to the diagonal
MIN_STD = 1e-100
MAX_ABS_ZSCORE = 10.0  # standard deviations at which a helper stops


@dataclass
class ColumnImputer:
    """How gaps of one column are filled in each round from standardised helper columns."""

    column: int
    predictors: list[int]
    weights: Array  # (rounds, helpers + 1), the constant last
    low: float
    high: float

    def predict(self, columns: Sequence[Array], rows: Array, round_index: int) -> Array:
        """Guesses for some rows; summed column by column, so that each row stands alone."""
        weights = self.weights[round_index]
        predictions = np.full(len(rows), weights[-1])
        for predictor, weight in zip(self.predictors, weights[:-1], strict=True):
            predictions += weight * np.clip(
                columns[predictor][rows], -MAX_ABS_ZSCORE, MAX_ABS_ZSCORE
            )
        return np.asarray(np.clip(predictions, self.low, self.high))


class IterativeImputer:
    """Fills the gaps of several columns, each from all others, in a few rounds."""

    def __init__(self, means: Array, stds: Array, models: list[ColumnImputer]) -> None:
        """Keep what was learned: see `learn_gaps`."""
        self.means, self.stds, self.models = means, stds, models

    def state(self) -> State:
        """What was learned, as JSON values and arrays."""
        arrays = {f"gap_weights.{model.column}": model.weights for model in self.models}
        models = [asdict(model) for model in self.models]
        for model in models:
            del model["weights"]
        return State(
            {"models": models}, {**arrays, "gap_centres": self.means, "gap_spreads": self.stds}
        )

    @classmethod
    def from_state(cls, state: State) -> IterativeImputer:
        """The filler that `state` described."""
        models = [
            ColumnImputer(**model, weights=state.arrays[f"gap_weights.{model['column']}"])
            for model in state.values["models"]
        ]
        return cls(state.arrays["gap_centres"], state.arrays["gap_spreads"], models)

    def impute(self, columns: Sequence[Array], missing_masks: Sequence[Array]) -> list[Array]:
        """Columns with better guesses where there are gaps.

        Args:
            columns: without gaps, first guesses in their place.
            missing_masks: of each column, true where a value is a guess.
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
    """Learn from training rows how to fill the gaps of the wanted columns.

    Args:
        columns: without gaps, first guesses in their place.
        missing_masks: of each column, true where a value is a guess.
        target_columns: numbers of the columns that are to be filled.
    """
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
    """A model that knows its helpers and the range of its column, but no weights yet."""
    present = ~missing_masks[column]
    observed = standardized[column][present] if present.any() else np.zeros(1)
    association = {
        i: abs(float(np.mean(values[present] * observed))) if present.any() else 0.0
        for i, values in enumerate(standardized)
        if i != column
    }
    predictors = sorted(sorted(association, key=lambda i: -association[i])[:MAX_PREDICTOR_COLUMNS])
    weights = np.zeros((IMPUTATION_ROUNDS, len(predictors) + 1))
    return ColumnImputer(column, predictors, weights, float(observed.min()), float(observed.max()))


def fit_round(
    model: ColumnImputer, standardized: Sequence[Array], is_missing: Array, round_index: int
) -> None:
    """Learn one round of a model, and put its guesses in place of the gaps."""
    present, rows = ~is_missing, np.flatnonzero(is_missing)
    predictor_values = [
        np.clip(standardized[i][present], -MAX_ABS_ZSCORE, MAX_ABS_ZSCORE) for i in model.predictors
    ]
    design = np.stack([*predictor_values, np.ones(present.sum())], axis=1)
    penalty = RIDGE_ALPHA_PER_ROW * max(len(design), 1) * np.eye(design.shape[1])
    penalty[-1, -1] = 1e-9
    observed = standardized[model.column][present]
    model.weights[round_index] = np.linalg.solve(design.T @ design + penalty, design.T @ observed)
    standardized[model.column][rows] = model.predict(standardized, rows, round_index)
