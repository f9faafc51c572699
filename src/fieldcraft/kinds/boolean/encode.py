"""Encode truth values: 1 for yes, -1 for no, 0 with a flag where missing."""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Matrix, State


class BooleanEncoder:
    """Encodes all boolean columns of a table; nothing is learned but their names."""

    def __init__(self) -> None:
        """An encoder that knows nothing yet."""
        self.names: list[str] = []

    def fit_transform(self, rows: pl.DataFrame, target: Array) -> Views:
        """Remember the columns; return the rows encoded."""
        self.names = rows.columns
        return self.transform(rows)

    def transform(self, rows: pl.DataFrame) -> Views:
        """Encode rows: for networks signs and flags, for trees 1, 0 and NaN."""
        casts = [rows[name].cast(pl.Float32).fill_null(float("nan")) for name in self.names]
        values = np.stack([column.to_numpy() for column in casts], axis=1)

        def tensors() -> dict[str, Array]:
            missing = np.isnan(values)
            signs = np.where(missing, 0, 2 * values - 1)
            return {"boolean": np.hstack([signs, missing]).astype(np.float32)}

        return Views(tensors, lambda: Matrix(values, tuple(self.names), (0,) * len(self.names)))

    def state(self) -> State:
        """The names of the columns."""
        return State({"names": self.names})

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described."""
        self.names = list(state.values["names"])
