"""Encode booleans: 1 for true, -1 for false, 0 with a flag where missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fieldcraft.bundle.encoder_set import LazyEncodedRows
from fieldcraft.contracts import Matrix, State
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column


class BooleanEncoder:
    """Encodes all boolean columns of a table.

    Fitting learns the more frequent value of each column. With ``impute: mode`` it replaces missing
    values, and trees get a flag of missing values, as networks always do.
    """

    max_batch_rows = None

    def __init__(self, columns: Sequence[Column]) -> None:
        """Set up an unfitted encoder."""
        self.column_names = [column.name for column in columns]
        self.uses_mode_imputation = [column.options.get("impute") == "mode" for column in columns]
        self.most_frequent: list[bool] = []

    def precompute(self, rows: pl.DataFrame) -> Array:
        """1 for true, 0 for false, NaN where missing, shape (rows, columns)."""
        arrays = [rows[name].cast(pl.Float32).to_numpy() for name in self.column_names]
        return np.stack(arrays, axis=1)

    def fit_transform(self, booleans: Array, target: Array) -> LazyEncodedRows:
        """Learn the more frequent values; return the encoded rows."""
        true_counts, present_counts = np.nansum(booleans, axis=0), (~np.isnan(booleans)).sum(axis=0)
        self.most_frequent = [
            bool(is_mostly_true) for is_mostly_true in 2 * true_counts > present_counts
        ]
        return self.transform(booleans)

    def transform(self, booleans: Array) -> LazyEncodedRows:
        """Encode rows: signs and flags for networks; 1, 0 and NaN for trees."""
        missing = np.isnan(booleans)
        filled = np.where(
            missing & self.uses_mode_imputation,
            np.array(self.most_frequent, dtype=np.float32),
            booleans,
        )

        def build_tensors() -> dict[str, Array]:
            # True and false are symmetric around 0, so that a missing value adds nothing to a sum.
            signs = np.where(np.isnan(filled), 0, 2 * filled - 1)
            return {"boolean": np.hstack([signs, missing]).astype(np.float32)}

        def build_matrix() -> Matrix:
            flagged_columns = np.flatnonzero(self.uses_mode_imputation)
            matrix_names = [
                *self.column_names,
                *(f"{self.column_names[i]} (missing)" for i in flagged_columns),
            ]
            table = np.hstack([filled, missing[:, flagged_columns]]).astype(np.float32)
            return Matrix(table, tuple(matrix_names), (0,) * len(matrix_names))

        return LazyEncodedRows(build_tensors, build_matrix)

    def state(self) -> State:
        """The more frequent values."""
        return State({"most_frequent": self.most_frequent})

    def restore(self, state: State) -> None:
        """Load a fitted state."""
        self.most_frequent = list(state.values["most_frequent"])
