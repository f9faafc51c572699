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

    most_rows = None

    def __init__(self, columns: Sequence[Column]) -> None:
        """An encoder of some columns that knows nothing of them yet."""
        self.names = [column.name for column in columns]
        self.imputed = [column.options.get("impute") == "mode" for column in columns]
        self.commoner: list[bool] = []

    def read(self, rows: pl.DataFrame) -> Array:
        """1 for yes, 0 for no, NaN where missing, shape (rows, columns)."""
        casts = [rows[name].cast(pl.Float32).to_numpy() for name in self.names]
        return np.stack(casts, axis=1)

    def fit_transform(self, truths: Array, target: Array) -> Views:
        """Learn the commoner values; return the rows encoded."""
        yes, there = np.nansum(truths, axis=0), (~np.isnan(truths)).sum(axis=0)
        self.commoner = [bool(more) for more in 2 * yes > there]
        return self.transform(truths)

    def transform(self, truths: Array) -> Views:
        """Encode rows: for networks signs and flags, for trees 1, 0 and NaN."""
        missing = np.isnan(truths)
        values = np.where(missing & self.imputed, np.array(self.commoner, dtype=np.float32), truths)

        def tensors() -> dict[str, Array]:
            signs = np.where(np.isnan(values), 0, 2 * values - 1)
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
