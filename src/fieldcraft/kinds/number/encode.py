"""Encode numbers: to a normal shape by quantiles for networks, as they are for trees."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Matrix, State

MOST_QUANTILES = 1_000
MOST_BINS = 48
ROWS_A_BIN = 20
HEAVY_SKEW = 2.0
SMALLEST_RANGE = 1e-6
SMALLEST_SPREAD = 1e-100
LARGEST_FLOAT = float(np.finfo(np.float32).max)
FARTHEST = 5.2  # the normal quantile of 1e-7, where the transform ends


@dataclass
class Shape:
    """What was learned of one column: its quantiles, and how to scale its heavy tail."""

    median: float
    values: Array  # increasing
    normals: Array  # the normal quantile of each value
    centre: float
    spread: float
    heavy: bool
    has_missing: bool

    @property
    def flat(self) -> bool:
        """Whether the column says nothing on the training rows."""
        return len(self.values) < 2 or self.values[-1] - self.values[0] < SMALLEST_RANGE * max(
            1e-30, float(np.abs(self.values).max())
        )

    def normal(self, column: Array) -> Array:
        """The column in normal shape; values outside the training range stop at its ends."""
        return np.interp(column, self.values, self.normals)

    def clipped(self, column: Array) -> Array:
        """The column robustly scaled, its tails bent smoothly towards 3 (RealMLP, 2024)."""
        scaled = (column - self.centre) / self.spread
        return np.asarray(scaled / np.hypot(1, scaled / 3))


def learn_shape(column: Array) -> Shape:
    """Learn the shape of a column from training rows, NaN where missing."""
    there = column[~np.isnan(column)]
    has_missing = len(there) < len(column)
    if not len(there):
        return Shape(0.0, np.zeros(1), np.zeros(1), 0.0, 1.0, False, has_missing)
    count = int(max(min(len(there) // 30, MOST_QUANTILES), 10))
    shares = np.linspace(0, 1, count)
    quantiles = np.quantile(there, shares)
    normal = NormalDist()
    inside = np.clip(shares, 1e-7, 1 - 1e-7)
    normals = np.array([normal.inv_cdf(share) for share in inside])
    # Equal quantiles (a value that many rows share) become one knot with their mean position.
    values, where = np.unique(quantiles, return_inverse=True)
    means = np.bincount(where, weights=normals) / np.bincount(where)
    low, middle, high = np.quantile(there, [0.25, 0.5, 0.75])
    spread = max(high - low or (values[-1] - values[0]) / 2 or 1.0, SMALLEST_SPREAD)
    deviation = there.std()
    skew = (((there - there.mean()) / deviation) ** 3).mean() if deviation > 0 else 0.0
    return Shape(
        float(middle), values, np.clip(means, -FARTHEST, FARTHEST),
        float(middle), float(spread), bool(abs(skew) > HEAVY_SKEW), has_missing,
    )  # fmt: skip


def learn_bins(column: Array) -> Array:
    """Edges of bins for the piecewise-linear encoding, increasing, shape (bins + 1,).

    Bins hold about equally many rows, but a value that very many rows share (a zero for "none")
    counts as one bin's worth only: the other values would be left with no bins else.
    """
    values, counts = np.unique(column, return_counts=True)
    weights = np.minimum(counts, len(column) / MOST_BINS)
    bins = int(max(1, min(MOST_BINS, len(values) - 1, weights.sum() // ROWS_A_BIN)))
    if bins >= len(values) - 1:
        return values
    shares = np.cumsum(weights) / weights.sum()
    inner = values[np.searchsorted(shares, np.linspace(0, 1, bins + 1)[1:-1])]
    return np.unique([values[0], *inner, values[-1]])


class NumberEncoder:
    """Encodes all number columns of a table.

    For networks each column is filled with its median and brought to a normal shape by its
    quantiles; heavy-tailed columns come a second time, robustly scaled and smoothly clipped;
    columns that miss values in training rows add a flag. Trees get the numbers as they are.
    """

    def __init__(self) -> None:
        """An encoder that knows nothing yet."""
        self.names: list[str] = []
        self.shapes: list[Shape] = []
        self.bins: list[Array] = []

    def fit_transform(self, rows: pl.DataFrame, target: Array) -> Views:
        """Learn quantiles, fill values and bins from training rows; return them encoded."""
        self.names = rows.columns
        columns = self._columns(rows)
        self.shapes = [learn_shape(column) for column in columns]
        self.bins = [learn_bins(feature) for feature in self._features(columns)]
        return self._views(columns)

    def transform(self, rows: pl.DataFrame) -> Views:
        """Encode rows with what was learned."""
        return self._views(self._columns(rows))

    def _columns(self, rows: pl.DataFrame) -> list[Array]:
        return [
            rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in self.names
        ]

    def _views(self, columns: list[Array]) -> Views:
        return Views(lambda: self._tensors(columns), lambda: self._matrix(columns))

    def _features(self, columns: list[Array]) -> list[Array]:
        found = []
        for column, shape in zip(columns, self.shapes, strict=True):
            if not shape.flat:
                filled = np.where(np.isnan(column), shape.median, column)
                found.append(shape.normal(filled))
                if shape.heavy:
                    found.append(shape.clipped(filled))
        return found

    def _tensors(self, columns: list[Array]) -> dict[str, Array]:
        rows = len(columns[0]) if columns else 0
        features = self._features(columns)
        flags = [
            np.isnan(column)
            for column, shape in zip(columns, self.shapes, strict=True)
            if shape.has_missing
        ]
        found = {}
        if features:
            found["number"] = np.stack(features, axis=1).astype(np.float32)
        if flags:
            found["number_missing"] = np.stack(flags, axis=1).astype(np.float32)
        return found or {"number_missing": np.zeros((rows, 1), dtype=np.float32)}

    def _matrix(self, columns: list[Array]) -> Matrix:
        values = np.clip(np.stack(columns, axis=1), -LARGEST_FLOAT, LARGEST_FLOAT)
        names = tuple(self.names)
        return Matrix(values.astype(np.float32), names, (0,) * len(names))

    def state(self) -> State:
        """What was learned, as JSON values and arrays."""
        scalars = ("median", "centre", "spread", "heavy", "has_missing")
        arrays: dict[str, Array] = {}
        for i, shape in enumerate(self.shapes):
            arrays[f"values.{i}"] = shape.values.astype(np.float64)
            arrays[f"normals.{i}"] = shape.normals.astype(np.float64)
        for i, edges in enumerate(self.bins):
            arrays[f"bins.{i}"] = edges.astype(np.float64)
        shapes = [{name: getattr(shape, name) for name in scalars} for shape in self.shapes]
        return State({"names": self.names, "shapes": shapes, "bins": len(self.bins)}, arrays)

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described."""
        self.names = list(state.values["names"])
        self.shapes = [
            Shape(
                values=state.arrays[f"values.{i}"], normals=state.arrays[f"normals.{i}"], **scalars
            )
            for i, scalars in enumerate(state.values["shapes"])
        ]
        self.bins = [state.arrays[f"bins.{i}"] for i in range(state.values["bins"])]
