"""Encode numbers: to a normal shape by quantiles for networks, as they are for trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Matrix, State
from fieldcraft.data.table import Column
from fieldcraft.kinds.number.curve import MOST_STEPS, Curves
from fieldcraft.kinds.number.impute import GapFiller, learn_gaps
from fieldcraft.kinds.number.shape import Shape, learn_shape

MOST_BINS = 48
ROWS_A_BIN = 20
LARGEST_FLOAT = float(np.finfo(np.float32).max)
FEW = 64  # rows up to which calls cost more than what they compute
BLOCK = 8_192  # rows at a time, so that intermediate results stay near the processor
ARRAYS = ("values", "normals")  # of a shape


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


class Together:
    """What networks see of few rows, all columns at once: see `Shape.features`."""

    def __init__(self, shapes: Sequence[Shape]) -> None:
        """Tell the columns that follow curves from the others."""
        self.shapes = shapes
        counts = [0 if s.flat else 1 + (s.heavy and s.scale == "quantile") for s in shapes]
        self.starts = np.cumsum([0, *counts[:-1]]).tolist()
        self.curved = [
            i for i, shape in enumerate(shapes)
            if shape.scale == "quantile" and not shape.flat and shape.curve.steps <= MOST_STEPS
        ]  # fmt: skip
        self.others = sorted(set(range(len(shapes))) - set(self.curved))
        mine = [shapes[i] for i in self.curved]
        self.fills = np.array([shape.fill for shape in mine])
        self.curves = Curves([shape.curve for shape in mine]) if mine else None
        self.places = [self.starts[i] for i in self.curved]
        self.heavy = [at for at, shape in enumerate(mine) if shape.heavy]

    def fill(self, columns: Sequence[Array], numbers: Array) -> None:
        """Fill in an array of a row for each row and a column for each feature."""
        if self.curves is not None:
            given = np.stack([columns[i] for i in self.curved], axis=1)
            filled = np.where(np.isnan(given), self.fills, given)
            numbers[:, self.places] = self.curves(filled)
            for at in self.heavy:
                bent = self.shapes[self.curved[at]].bent(filled[:, at])
                numbers[:, self.places[at] + 1] = bent
        for i in self.others:
            for further, feature in enumerate(self.shapes[i].features(columns[i])):
                numbers[:, self.starts[i] + further] = feature


class NumberEncoder:
    """Encodes all number columns of a table.

    For networks each column is filled with its median and brought to a normal shape by its
    quantiles; heavy-tailed columns come a second time, robustly scaled and smoothly clipped;
    columns that miss values in training rows add a flag. Trees get the numbers as they are.

    A column's options say otherwise: ``impute`` fills its gaps for trees too, which then see the
    flag; ``scale`` is another scale for networks; ``clip: auto`` cuts off values that are far out.
    """

    most_rows = None

    def __init__(self, columns: Sequence[Column]) -> None:
        """An encoder of some columns that knows nothing of them yet."""
        self.columns = tuple(columns)
        self.shapes: list[Shape] = []
        self.bins: list[Array] = []
        self.filler: GapFiller | None = None
        self.side_by_side: Together | None = None

    def read(self, rows: pl.DataFrame) -> list[Array]:
        """Each column as floats, NaN where missing."""
        return [rows[column.name].cast(pl.Float64).to_numpy() for column in self.columns]

    def fit_transform(self, raw: list[Array], target: Array) -> Views:
        """Learn scales, fill values and bins from training rows; return them encoded."""
        options = [column.options for column in self.columns]
        self.shapes = [learn_shape(*pair) for pair in zip(raw, options, strict=True)]
        self.side_by_side = None
        modelled = [i for i, o in enumerate(options) if o.get("impute") == "model"]
        gaps = [np.isnan(column) for column in raw]
        self.filler = learn_gaps(self._filled(raw), gaps, modelled) if modelled else None
        cleaned = self._cleaned(raw)
        pairs = zip(self.shapes, cleaned, strict=True)
        self.bins = [learn_bins(f) for shape, column in pairs for f in shape.features(column)]
        return self._views(raw, cleaned)

    def transform(self, raw: list[Array]) -> Views:
        """Encode rows with what was learned."""
        return self._views(raw, self._cleaned(raw))

    def _filled(self, raw: list[Array]) -> list[Array]:
        """Columns cut off and filled, whether that is asked for or not."""
        return [
            np.where(np.isnan(column), shape.fill, np.clip(column, shape.low, shape.high))
            for column, shape in zip(raw, self.shapes, strict=True)
        ]

    def _cleaned(self, raw: list[Array]) -> list[Array]:
        """Columns cut off and filled where that is asked for."""
        asked = [column.options.keys() & {"impute", "clip"} for column in self.columns]
        filled = self._filled(raw) if any(asked) else raw
        if self.filler:
            filled = self.filler.fill(filled, [np.isnan(column) for column in raw])
        found = []
        for own, column, full in zip(asked, raw, filled, strict=True):
            cut = np.where(np.isnan(column), np.nan, full) if own else column
            found.append(full if "impute" in own else cut)
        return found

    def _views(self, raw: list[Array], cleaned: list[Array]) -> Views:
        return Views(lambda: self._tensors(raw, cleaned), lambda: self._matrix(raw, cleaned))

    def _tensors(self, raw: list[Array], cleaned: list[Array]) -> dict[str, Array]:
        rows = len(raw[0])
        numbers = np.empty((rows, len(self.bins)), dtype=np.float32)
        if rows <= FEW:
            self.side_by_side = self.side_by_side or Together(self.shapes)
            self.side_by_side.fill(cleaned, numbers)
        for start in range(0, rows if rows > FEW else 0, BLOCK):
            part = slice(start, start + BLOCK)
            place = iter(range(len(self.bins)))
            for column, shape in zip(cleaned, self.shapes, strict=True):
                for feature in shape.features(column[part]):
                    numbers[part, next(place)] = feature
        flags = [
            np.isnan(column)
            for column, shape in zip(raw, self.shapes, strict=True)
            if shape.has_missing
        ]
        found = {"number": numbers} if self.bins else {}
        if flags:
            found["number_missing"] = np.stack(flags, axis=1).astype(np.float32)
        return found or {"number_missing": np.zeros((rows, 1), dtype=np.float32)}

    def _matrix(self, raw: list[Array], cleaned: list[Array]) -> Matrix:
        names = [column.name for column in self.columns]
        values = [np.clip(column, -LARGEST_FLOAT, LARGEST_FLOAT) for column in cleaned]
        for column, shape, numbers in zip(self.columns, self.shapes, raw, strict=True):
            if shape.has_missing and "impute" in column.options:
                names.append(f"{column.name} (missing)")
                values.append(np.isnan(numbers).astype(np.float64))
        return Matrix(np.stack(values, axis=1).astype(np.float32), tuple(names), (0,) * len(names))

    def state(self) -> State:
        """What was learned, as JSON values and arrays."""
        arrays = {f"bins.{i}": edges.astype(np.float64) for i, edges in enumerate(self.bins)}
        for i, shape in enumerate(self.shapes):
            arrays |= {f"{name}.{i}": getattr(shape, name).astype(np.float64) for name in ARRAYS}
        scalars = [field.name for field in fields(Shape) if field.name not in ARRAYS]
        shapes = [{name: getattr(shape, name) for name in scalars} for shape in self.shapes]
        filler = self.filler.state() if self.filler else State()
        values = {"shapes": shapes, "bins": len(self.bins), **filler.values}
        return State(values, {**arrays, **filler.arrays})

    def restore(self, state: State) -> None:
        """Become the encoder that `state` described."""
        self.shapes = []
        for i, scalars in enumerate(state.values["shapes"]):
            knots = {name: state.arrays[f"{name}.{i}"] for name in ARRAYS}
            self.shapes.append(Shape(**{**scalars, **knots}))
        self.side_by_side = None
        self.bins = [state.arrays[f"bins.{i}"] for i in range(state.values["bins"])]
        self.filler = GapFiller.restored(state) if "models" in state.values else None
