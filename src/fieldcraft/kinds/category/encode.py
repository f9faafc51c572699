"""Encode categories: levels learned on training rows, target means where levels are many."""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Matrix, State

RARE = 2  # a level must stand on this many training rows; rarer ones share the unseen slot
MANY = 50  # above this many levels, target means join the codes
PRIOR = 10.0  # rows' worth of the overall mean in each level's target mean
PARTS = 5  # of the out-of-fold target means
MISSING = "\0missing"


class CategoryEncoder:
    """Encodes all category columns of a table as codes: 0 for unseen or rare levels, then 1, 2, ...

    A missing value is a level like any other. Columns of more than 50 levels also give, for each
    column of the target, the smoothed mean over the rows of the level (Micci-Barreca 2001); on
    training rows these come out of fold, so that no row sees its own target.
    """

    def __init__(self) -> None:
        """An encoder that knows nothing yet."""
        self.names: list[str] = []
        self.levels: list[list[str]] = []
        self.means: dict[int, Array] = {}  # column number -> (levels + 1, target columns)

    def fit_transform(self, rows: pl.DataFrame, target: Array) -> Views:
        """Learn levels and target means from training rows; return them encoded."""
        self.names = rows.columns
        self.levels = [self._learn(rows[name]) for name in self.names]
        codes = self._codes(rows)
        wide = [i for i, levels in enumerate(self.levels) if len(levels) > MANY]
        wide = wide if target.shape[1] else []
        self.means = {i: means_by(codes[:, i], target, len(self.levels[i])) for i in wide}
        # By lot, for rows often come in rounds: the same level in every fifth row.
        fold = np.random.default_rng(0).permutation(rows.height) % PARTS
        own = np.zeros((rows.height, len(wide) * target.shape[1]))
        for part in range(PARTS):
            inside = fold != part
            found = [
                means_by(codes[inside, i], target[inside], len(self.levels[i]))[codes[~inside, i]]
                for i in wide
            ]
            if found:
                own[~inside] = np.hstack(found)
        return self._views(codes, own)

    def transform(self, rows: pl.DataFrame) -> Views:
        """Encode rows with what was learned."""
        codes = self._codes(rows)
        means = [self.means[i][codes[:, i]] for i in self.means]
        return self._views(codes, np.hstack(means) if means else np.zeros((rows.height, 0)))

    def _learn(self, column: pl.Series) -> list[str]:
        counted = column.fill_null(MISSING).alias("level").value_counts(name="count")
        kept = counted.filter(pl.col("count") >= RARE).sort("level")
        return list(kept["level"].to_list())

    def _codes(self, rows: pl.DataFrame) -> Array:
        found = []
        for name, levels in zip(self.names, self.levels, strict=True):
            known = pl.Series(levels, dtype=pl.String)
            codes = pl.Series(range(1, len(levels) + 1), dtype=pl.Int64)
            column = rows[name].cast(pl.String).fill_null(MISSING)
            found.append(
                column.replace_strict(known, codes, default=0, return_dtype=pl.Int64).to_numpy()
                if levels
                else np.zeros(rows.height, dtype=np.int64)
            )
        return np.stack(found, axis=1)

    def _views(self, codes: Array, means: Array) -> Views:
        floats = means.astype(np.float32)

        def tensors() -> dict[str, Array]:
            found = {"category": codes.astype(np.int64)}
            return {**found, "category_means": floats} if floats.shape[1] else found

        def matrix() -> Matrix:
            # A tree must not chop up hundreds of codes: there the target means stand alone.
            kept = [i for i in range(len(self.names)) if i not in self.means]
            width = floats.shape[1] // max(len(self.means), 1)
            names = [self.names[i] for i in kept]
            names += [
                f"{self.names[i]} (target mean {j})" for i in self.means for j in range(width)
            ]
            values = np.hstack([codes[:, kept].astype(np.float32), floats])
            levels = [len(self.levels[i]) for i in kept] + [0] * floats.shape[1]
            return Matrix(values, tuple(names), tuple(levels))

        return Views(tensors, matrix)

    def state(self) -> State:
        """What was learned, as JSON values and arrays."""
        arrays = {f"means.{i}": means.astype(np.float64) for i, means in self.means.items()}
        return State({"names": self.names, "levels": self.levels, "wide": list(self.means)}, arrays)

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described."""
        self.names = list(state.values["names"])
        self.levels = [list(levels) for levels in state.values["levels"]]
        self.means = {i: state.arrays[f"means.{i}"] for i in state.values["wide"]}


def means_by(codes: Array, target: Array, levels: int) -> Array:
    """Smoothed mean of the target columns for each code, shape (levels + 1, columns).

    The unseen code 0 has the overall mean.
    """
    overall = target.mean(axis=0)
    counts = np.bincount(codes, minlength=levels + 1)[:, None]
    sums = np.stack(
        [np.bincount(codes, weights=column, minlength=levels + 1) for column in target.T], axis=1
    )
    means = (sums + PRIOR * overall) / (counts + PRIOR)
    means[0] = overall
    return np.asarray(means)
