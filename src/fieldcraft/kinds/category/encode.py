"""Encode categories: integer codes, with target means for columns of many levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fieldcraft.bundle.encoder_set import LazyEncodedRows
from fieldcraft.contracts import Matrix, State
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column

MIN_ROWS_PER_LEVEL = 2  # levels of fewer training rows share the code of unseen levels
TARGET_MEANS_ABOVE_LEVELS = 50  # columns of more levels get target means
TARGET_MEAN_PRIOR_ROWS = 10.0  # pseudo-rows of the overall mean in each target mean
TARGET_MEAN_FOLDS = 5
MAX_TARGET_MEANS_PER_LEVEL = 10  # with more target columns there are no target means
MISSING_LEVEL = "\0missing"  # the NUL keeps it apart from a level called "missing"
NUMERIC_IMPUTE_STRATEGIES = ("mean", "median", "model")  # set for all kinds; no effect here


@dataclass(frozen=True)
class CategoryLevels:
    """The levels of one column, most frequent first; ties are in alphabetical order."""

    names: list[str]

    @classmethod
    def from_column(cls, column: pl.Series) -> CategoryLevels:
        """The levels of a training column with at least `MIN_ROWS_PER_LEVEL` rows."""
        level_counts = (
            column.alias("level")
            .value_counts(name="count")
            .filter(pl.col("count") >= MIN_ROWS_PER_LEVEL)
        )
        sorted_counts = level_counts.sort(["count", "level"], descending=[True, False])
        return cls(sorted_counts["level"].to_list())

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def code_by_name(self) -> dict[str, int]:
        """The code of every spelling of a level, from 1.

        A level that lost its leading zeros (020 read as the number 20) is still recognized.
        """
        codes = {name: code for code, name in enumerate(self.names, start=1)}
        for name, code in list(codes.items()):
            if name.startswith("0") and name.isdigit():
                codes.setdefault(name.lstrip("0") or "0", code)
        return codes

    def encode(self, column: pl.Series, fill_level: str) -> Array:
        """The code of each cell; a missing one counts as `fill_level`, an unknown one as 0."""
        code_by_name, cells = self.code_by_name, column.to_list()
        missing_code = code_by_name.get(fill_level, 0)
        codes = [missing_code if cell is None else code_by_name.get(cell, 0) for cell in cells]
        return np.array(codes, dtype=np.int64)


class CategoryEncoder:
    """Encodes all category columns of a table as codes: 0 for unseen or rare levels, then 1, 2, ...

    Codes go from the most frequent level to the rarest. A missing value is a level of its own,
    unless ``impute`` names the level that replaces it: ``mode``, the most frequent, or a level.

    Columns of more than 50 levels also get, for each column of the target, its smoothed mean over
    the rows of the level (Micci-Barreca, SIGKDD Explorations 3, 2001), and the logarithm of the
    row count. On the training rows the means are out of fold, so that no row sees its own target.
    """

    max_batch_rows = None

    def __init__(self, columns: Sequence[Column]) -> None:
        """Set up an unfitted encoder."""
        self.column_names = [column.name for column in columns]
        self.impute_options = [column.options.get("impute") for column in columns]
        self.fill_levels: list[str] = []  # by column; they replace missing values
        self.levels: list[CategoryLevels] = []
        # By column number: target means and log count of each code, (levels + 1, targets + 1).
        self.level_statistics: dict[int, Array] = {}

    def precompute(self, rows: pl.DataFrame) -> list[pl.Series]:
        """The columns unchanged."""
        return [rows[name] for name in self.column_names]

    def fit_transform(self, columns: list[pl.Series], target: Array) -> LazyEncodedRows:
        """Learn levels and target means from the training rows; return them encoded."""
        self.fill_levels = [
            fit_fill_level(*pair) for pair in zip(columns, self.impute_options, strict=True)
        ]
        column_fills = zip(columns, self.fill_levels, strict=True)
        self.levels = [
            CategoryLevels.from_column(column.fill_null(fill_level))
            for column, fill_level in column_fills
        ]
        codes = self._encode_codes(columns)
        # With many target columns (classes) only the row counts are left of the statistics.
        target = target if target.shape[1] <= MAX_TARGET_MEANS_PER_LEVEL else target[:, :0]
        high_cardinality = [
            i for i, levels in enumerate(self.levels) if len(levels) > TARGET_MEANS_ABOVE_LEVELS
        ]
        self.level_statistics = {
            i: compute_level_statistics(codes[:, i], target, len(self.levels[i]))
            for i in high_cardinality
        }
        training_statistics = [
            compute_out_of_fold_statistics(codes[:, i], target, self.level_statistics[i])
            for i in high_cardinality
        ]
        return self._lazy_rows(codes, training_statistics)

    def transform(self, columns: list[pl.Series]) -> LazyEncodedRows:
        """Encode rows with the learned levels and target means."""
        codes = self._encode_codes(columns)
        return self._lazy_rows(
            codes, [statistics[codes[:, i]] for i, statistics in self.level_statistics.items()]
        )

    def _encode_codes(self, columns: list[pl.Series]) -> Array:
        fitted_columns = zip(columns, self.fill_levels, self.levels, strict=True)
        return np.stack(
            [levels.encode(column, fill_level) for column, fill_level, levels in fitted_columns],
            axis=1,
        )

    def _lazy_rows(self, codes: Array, statistics: list[Array]) -> LazyEncodedRows:
        def build_tensors() -> dict[str, Array]:
            arrays = {"category": codes.astype(np.int64)}
            if statistics:
                arrays["category_facts"] = np.hstack(statistics).astype(np.float32)
            return arrays

        def build_matrix() -> Matrix:
            # Trees overfit on splits of hundreds of codes: target means replace the codes there.
            target_mean_columns = {
                i
                for i, column_statistics in self.level_statistics.items()
                if column_statistics.shape[1] > 1
            }
            code_columns = [
                i for i in range(len(self.column_names)) if i not in target_mean_columns
            ]
            matrix_names = [self.column_names[i] for i in code_columns]
            for i, column_statistics in self.level_statistics.items():
                means = [
                    f"{self.column_names[i]} (target mean {j})"
                    for j in range(column_statistics.shape[1] - 1)
                ]
                matrix_names += [*means, f"{self.column_names[i]} (log count)"]
            values = np.hstack([codes[:, code_columns], *statistics]).astype(np.float32)
            levels = [len(self.levels[i]) for i in code_columns]
            levels += [0] * (len(matrix_names) - len(levels))
            return Matrix(values, tuple(matrix_names), tuple(levels))

        return LazyEncodedRows(build_tensors, build_matrix)

    def state(self) -> State:
        """The learned levels and target means."""
        arrays = {
            f"facts.{i}": statistics.astype(np.float64)
            for i, statistics in self.level_statistics.items()
        }
        levels = [list(levels.names) for levels in self.levels]
        return State(
            {
                "fill_values": self.fill_levels,
                "categories": levels,
                "high_cardinality_columns": list(self.level_statistics),
            },
            arrays,
        )

    def restore(self, state: State) -> None:
        """Load a fitted state."""
        self.fill_levels = list(state.values["fill_values"])
        self.levels = [CategoryLevels(list(names)) for names in state.values["categories"]]
        self.level_statistics = {
            i: state.arrays[f"facts.{i}"] for i in state.values["high_cardinality_columns"]
        }


def fit_fill_level(column: pl.Series, impute: float | str | None) -> str:
    """The level that replaces a missing value: `MISSING_LEVEL` unless `impute` asks for another."""
    if isinstance(impute, (int, float)):  # YAML reads a level such as 020 or 1 as a number
        return f"{impute:.15g}"
    if impute is None or impute in NUMERIC_IMPUTE_STRATEGIES:
        return MISSING_LEVEL
    candidates = (
        CategoryLevels.from_column(column.drop_nulls()).names if impute == "mode" else [impute]
    )
    return candidates[0] if candidates else MISSING_LEVEL


def compute_level_statistics(codes: Array, target: Array, n_levels: int) -> Array:
    """Target means of each code and the log of its row count, shape (levels + 1, columns + 1).

    Code 0 counts as one row, since each of the rare levels that share it has one row.
    """
    counts = np.bincount(codes, minlength=n_levels + 1)
    counts[0] = 1
    return np.hstack([compute_target_means(codes, target, n_levels), np.log(counts)[:, None]])


def compute_out_of_fold_statistics(codes: Array, target: Array, statistics: Array) -> Array:
    """Statistics of the training rows, with target means from the rows of the other folds."""
    oof_statistics = statistics[codes]
    # Random folds, since in a cyclic order every fifth row may have the same level.
    fold_of_row = np.random.default_rng(0).permutation(len(codes)) % TARGET_MEAN_FOLDS
    for fold_index in range(TARGET_MEAN_FOLDS):
        in_fold = fold_of_row == fold_index
        other_fold_means = compute_target_means(
            codes[~in_fold], target[~in_fold], len(statistics) - 1
        )
        oof_statistics[in_fold, :-1] = other_fold_means[codes[in_fold]]
    return oof_statistics


def compute_target_means(codes: Array, target: Array, n_levels: int) -> Array:
    """Smoothed mean of the target columns for each code, shape (levels + 1, columns).

    Code 0 has the overall mean.
    """
    means = np.zeros((n_levels + 1, target.shape[1]))
    counts = np.bincount(codes, minlength=n_levels + 1)
    for k, column in enumerate(target.T):
        overall_mean = column.mean()
        sums = np.bincount(codes, weights=column, minlength=n_levels + 1)
        means[:, k] = (sums + TARGET_MEAN_PRIOR_ROWS * overall_mean) / (
            counts + TARGET_MEAN_PRIOR_ROWS
        )
        means[0, k] = overall_mean
    return means
