"""Encode numbers: quantile-transformed for networks, unchanged for trees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import polars as pl

from fieldcraft.bundle.encoder_set import LazyEncodedRows
from fieldcraft.contracts import Matrix, State
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column
from fieldcraft.kinds.number.impute import IterativeImputer, fit_iterative_imputer
from fieldcraft.kinds.number.interpolation import MAX_LOOKUP_STEPS, BatchedLinearInterpolator
from fieldcraft.kinds.number.transform import NumberTransform, fit_number_transform

MAX_BINS = 48  # the default of TabM
MIN_ROWS_PER_BIN = 20
MAX_FLOAT32 = float(np.finfo(np.float32).max)
MAX_VECTORIZED_ROWS = 64  # up to here the overhead of NumPy calls dominates
BLOCK_ROWS = 8_192  # rows at a time, so that intermediate results stay in the CPU cache
KNOT_FIELDS = ("knots", "normal_quantiles")  # array fields of NumberTransform


def fit_bin_edges(column: Array) -> Array:
    """Increasing edges of the bins of the piecewise-linear encoding, shape (bins + 1,).

    Bins hold about equally many rows, but a value that most rows share (a zero for "none") counts
    as one bin at most, as it would leave no bins for the other values.
    """
    values, counts = np.unique(column, return_counts=True)
    weights = np.minimum(counts, len(column) / MAX_BINS)
    n_bins = int(max(1, min(MAX_BINS, len(values) - 1, weights.sum() // MIN_ROWS_PER_BIN)))
    if n_bins >= len(values) - 1:
        return values
    cumulative_fractions = np.cumsum(weights) / weights.sum()
    inner_edges = values[np.searchsorted(cumulative_fractions, np.linspace(0, 1, n_bins + 1)[1:-1])]
    return np.unique([values[0], *inner_edges, values[-1]])


class VectorizedTransform:
    """`NumberTransform.compute_features` of all columns at once, faster for a few rows."""

    def __init__(self, transforms: Sequence[NumberTransform]) -> None:
        """Separate the columns whose quantile transforms can be batched from the others."""
        self.transforms = transforms
        feature_counts = [
            0
            if number_transform.is_constant
            else 1 + (number_transform.is_heavy_tailed and number_transform.scaling == "quantile")
            for number_transform in transforms
        ]
        self.feature_starts = np.cumsum([0, *feature_counts[:-1]]).tolist()
        self.interpolated_columns = [
            i
            for i, number_transform in enumerate(transforms)
            if number_transform.scaling == "quantile"
            and not number_transform.is_constant
            and number_transform.quantile_transform.lookup_steps <= MAX_LOOKUP_STEPS
        ]
        self.other_columns = sorted(set(range(len(transforms))) - set(self.interpolated_columns))
        interpolated_transforms = [transforms[i] for i in self.interpolated_columns]
        self.fill_values = np.array(
            [number_transform.fill_value for number_transform in interpolated_transforms]
        )
        self.interpolators = (
            BatchedLinearInterpolator(
                [
                    number_transform.quantile_transform
                    for number_transform in interpolated_transforms
                ]
            )
            if interpolated_transforms
            else None
        )
        self.feature_indices = [self.feature_starts[i] for i in self.interpolated_columns]
        self.heavy_tailed = [
            position
            for position, number_transform in enumerate(interpolated_transforms)
            if number_transform.is_heavy_tailed
        ]

    def fill_features(self, columns: Sequence[Array], features: Array) -> None:
        """Write features into `features`, shape (rows, features)."""
        if self.interpolators is not None:
            values = np.stack([columns[i] for i in self.interpolated_columns], axis=1)
            filled = np.where(np.isnan(values), self.fill_values, values)
            features[:, self.feature_indices] = self.interpolators(filled)
            for position in self.heavy_tailed:
                clipped_tail = self.transforms[self.interpolated_columns[position]].smooth_clip(
                    filled[:, position]
                )
                features[:, self.feature_indices[position] + 1] = clipped_tail
        for i in self.other_columns:
            for offset, feature in enumerate(self.transforms[i].compute_features(columns[i])):
                features[:, self.feature_starts[i] + offset] = feature


class NumberEncoder:
    """Encodes all number columns of a table.

    For networks, missing values are replaced by the median and each column is mapped to a normal
    distribution by its quantiles; heavy-tailed columns are repeated, robustly scaled and smoothly
    clipped; columns with missing values in the training rows add a flag. Trees get the numbers
    unchanged: they handle missing values themselves.

    Options of a column: ``impute`` replaces missing values for trees too, which then get the
    flag; ``scale`` sets another scaling for networks; ``clip: auto`` clips outliers.
    """

    max_batch_rows = None

    def __init__(self, columns: Sequence[Column]) -> None:
        """Set up an unfitted encoder."""
        self.columns = tuple(columns)
        self.transforms: list[NumberTransform] = []
        self.bin_edges: list[Array] = []
        self.imputer: IterativeImputer | None = None
        self.vectorized_transform: VectorizedTransform | None = None

    def precompute(self, rows: pl.DataFrame) -> list[Array]:
        """Each column as floats, NaN where missing."""
        return [rows[column.name].cast(pl.Float64).to_numpy() for column in self.columns]

    def fit_transform(self, raw: list[Array], target: Array) -> LazyEncodedRows:
        """Learn transforms, fill values and bins from the training rows; return them encoded."""
        options = [column.options for column in self.columns]
        self.transforms = [fit_number_transform(*pair) for pair in zip(raw, options, strict=True)]
        self.vectorized_transform = None  # built on first use, as it is for few rows only
        model_imputed = [
            i for i, column_options in enumerate(options) if column_options.get("impute") == "model"
        ]
        missing_masks = [np.isnan(column) for column in raw]
        # After the transforms, whose fill values are the initial values of missing cells.
        self.imputer = (
            fit_iterative_imputer(self._clip_and_fill(raw), missing_masks, model_imputed)
            if model_imputed
            else None
        )
        cleaned = self._apply_clean_options(raw)
        pairs = zip(self.transforms, cleaned, strict=True)
        self.bin_edges = [
            fit_bin_edges(feature)
            for number_transform, column in pairs
            for feature in number_transform.compute_features(column)
        ]
        return self._lazy_rows(raw, cleaned)

    def transform(self, raw: list[Array]) -> LazyEncodedRows:
        """Encode rows with the learned transforms."""
        return self._lazy_rows(raw, self._apply_clean_options(raw))

    def _clip_and_fill(self, raw: list[Array]) -> list[Array]:
        """All columns clipped and filled, whatever their options."""
        return [
            np.where(
                np.isnan(column),
                number_transform.fill_value,
                np.clip(column, number_transform.clip_low, number_transform.clip_high),
            )
            for column, number_transform in zip(raw, self.transforms, strict=True)
        ]

    def _apply_clean_options(self, raw: list[Array]) -> list[Array]:
        """The columns clipped and filled where their options ask for it."""
        requested_options = [column.options.keys() & {"impute", "clip"} for column in self.columns]
        filled = self._clip_and_fill(raw) if any(requested_options) else raw
        if self.imputer:
            filled = self.imputer.impute(filled, [np.isnan(column) for column in raw])
        cleaned = []
        for requested, column, filled_column in zip(requested_options, raw, filled, strict=True):
            clipped = np.where(np.isnan(column), np.nan, filled_column) if requested else column
            cleaned.append(filled_column if "impute" in requested else clipped)
        return cleaned

    def _lazy_rows(self, raw: list[Array], cleaned: list[Array]) -> LazyEncodedRows:
        return LazyEncodedRows(
            lambda: self._tensors(raw, cleaned), lambda: self._matrix(raw, cleaned)
        )

    def _tensors(self, raw: list[Array], cleaned: list[Array]) -> dict[str, Array]:
        rows = len(raw[0])
        features = np.empty((rows, len(self.bin_edges)), dtype=np.float32)
        if rows <= MAX_VECTORIZED_ROWS:
            self.vectorized_transform = self.vectorized_transform or VectorizedTransform(
                self.transforms
            )
            self.vectorized_transform.fill_features(cleaned, features)
        else:
            self._fill_in_blocks(cleaned, features)
        # Flags only for columns that had missing values in training: others would be constant.
        flags = [
            np.isnan(column)
            for column, number_transform in zip(raw, self.transforms, strict=True)
            if number_transform.has_missing
        ]
        arrays = {"number": features} if self.bin_edges else {}
        if flags:
            arrays["number_missing"] = np.stack(flags, axis=1).astype(np.float32)
        # A network needs at least one input, even if all columns are constant.
        return arrays or {"number_missing": np.zeros((rows, 1), dtype=np.float32)}

    def _fill_in_blocks(self, cleaned: list[Array], features: Array) -> None:
        """Compute the features of many rows block by block, so that they stay in the CPU cache."""
        for start in range(0, len(features), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            feature_indices = iter(range(len(self.bin_edges)))
            for column, number_transform in zip(cleaned, self.transforms, strict=True):
                for feature in number_transform.compute_features(column[block]):
                    features[block, next(feature_indices)] = feature

    def _matrix(self, raw: list[Array], cleaned: list[Array]) -> Matrix:
        names = [column.name for column in self.columns]
        # Numbers beyond float32 would become infinite, which LightGBM and ONNX order differently.
        values = [np.clip(column, -MAX_FLOAT32, MAX_FLOAT32) for column in cleaned]
        for column, number_transform, raw_values in zip(
            self.columns, self.transforms, raw, strict=True
        ):
            if number_transform.has_missing and "impute" in column.options:
                names.append(f"{column.name} (missing)")
                values.append(np.isnan(raw_values).astype(np.float64))
        return Matrix(np.stack(values, axis=1).astype(np.float32), tuple(names), (0,) * len(names))

    def state(self) -> State:
        """The learned transforms, bins and imputation models."""
        arrays = {f"bins.{i}": edges.astype(np.float64) for i, edges in enumerate(self.bin_edges)}
        for i, number_transform in enumerate(self.transforms):
            arrays |= {
                f"{name}.{i}": getattr(number_transform, name).astype(np.float64)
                for name in KNOT_FIELDS
            }
        scalar_fields = [
            field.name for field in fields(NumberTransform) if field.name not in KNOT_FIELDS
        ]
        transform_values = [
            {name: getattr(number_transform, name) for name in scalar_fields}
            for number_transform in self.transforms
        ]
        imputer_state = self.imputer.state() if self.imputer else State()
        values = {
            "transforms": transform_values,
            "n_bin_edges": len(self.bin_edges),
            **imputer_state.values,
        }
        return State(values, {**arrays, **imputer_state.arrays})

    def restore(self, state: State) -> None:
        """Load a fitted state."""
        self.transforms = []
        for i, scalar_values in enumerate(state.values["transforms"]):
            knot_arrays = {name: state.arrays[f"{name}.{i}"] for name in KNOT_FIELDS}
            self.transforms.append(NumberTransform(**{**scalar_values, **knot_arrays}))
        self.vectorized_transform = None
        self.bin_edges = [state.arrays[f"bins.{i}"] for i in range(state.values["n_bin_edges"])]
        self.imputer = IterativeImputer.from_state(state) if "models" in state.values else None
