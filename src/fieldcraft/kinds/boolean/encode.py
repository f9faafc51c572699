"""Encode truth values: 1 for yes, -1 for no, 0 with a flag where missing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Matrix, State
from fieldcraft.data.table import Column


class BooleanEncoder:
    """Encodes all boolean columns of a table.

    Nothing is learned but the commoner value of columns whose option ``impute`` is ``mode``: a
    missing value counts as it, and trees see a flag as networks always do.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        """An encoder of some columns that knows nothing of them yet."""
        self.names = [column.name for column in columns]
        self.imputed = [column.options.get("impute") == "mode" for column in columns]
        self.commoner: list[bool] = []

    def fit_transform(self, rows: pl.DataFrame, target: Array) -> Views:
        """Learn the commoner values; return the rows encoded."""
        yes = [rows[name].sum() for name in self.names]
        there = [rows[name].count() for name in self.names]
        self.commoner = [2 * count > most for count, most in zip(yes, there, strict=True)]
        return self.transform(rows)

    def transform(self, rows: pl.DataFrame) -> Views:
        """Encode rows: for networks signs and flags, for trees 1, 0 and NaN."""
        casts = [rows[name].cast(pl.Float32).to_numpy() for name in self.names]
        values = np.stack(casts, axis=1)
        missing = np.isnan(values)
        values = np.where(missing & self.imputed, np.array(self.commoner, dtype=np.float32), values)

        def tensors() -> dict[str, Array]:
            signs = np.nan_to_num(2 * values - 1)
            return {"boolean": np.hstack([signs, missing]).astype(np.float32)}

        def matrix() -> Matrix:
            flagged = np.flatnonzero(self.imputed)
            names = [*self.names, *(f"{self.names[i]} (missing)" for i in flagged)]
            joined = np.hstack([values, missing[:, flagged]]).astype(np.float32)
            return Matrix(joined, tuple(names), (0,) * len(names))

        return Views(tensors, matrix)

    def state(self) -> State:
        """The commoner values."""
        return State({"commoner": self.commoner})

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described."""
        self.commoner = list(state.values["commoner"])
