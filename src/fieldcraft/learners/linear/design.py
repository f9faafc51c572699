"""The design matrix of the linear model: numbers, flags for missing values, one-hot levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from fieldcraft.contracts import Matrix
from fieldcraft.core.types import Array

MAX_ABS_ZSCORE = 10.0  # standardized numbers are clipped, because a linear model extrapolates
HEAVY_TAIL_MIN_SKEW = 2.0  # the skewness of an exponential distribution
MAX_DENSE_LEVELS = 256  # with more one-hot columns the design is sparse
MIN_NORMAL_FLOAT32, MAX_FLOAT32 = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ColumnScale:
    """Location and scale of a numeric column in the training rows."""

    mean: float = 0.0
    std: float = 1.0
    median: float = 0.0
    iqr: float = 1.0
    is_heavy_tailed: bool = False


def fit_column_scale(column: Array) -> ColumnScale:
    """Fit mean and standard deviation, median and interquartile range, ignoring NaN."""
    present = column[~np.isnan(column)].astype(np.float64)
    std = float(present.std()) if len(present) else 0.0
    # Division by a subnormal number may overflow float32, so such a column counts as constant.
    if std < MIN_NORMAL_FLOAT32:
        return ColumnScale(mean=float(present[0]) if len(present) else 0.0)
    mean = float(present.mean())
    skew = float((((present - mean) / std) ** 3).mean())
    low, median, high = (float(value) for value in np.quantile(present, [0.25, 0.5, 0.75]))
    iqr = high - low if high - low >= MIN_NORMAL_FLOAT32 else std
    return ColumnScale(mean, std, median, min(iqr, MAX_FLOAT32), abs(skew) > HEAVY_TAIL_MIN_SKEW)


def fit_design(matrix: Matrix) -> dict[str, Array]:
    """Fit the parameters of `encode_numbers` and `encode_levels` on the training rows.

    Returns:
        Arrays by name. Column numbers of the matrix: ``numeric``, ``heavy_tailed`` and
        ``with_missing`` among these, and ``categorical``. Then ``mean`` and ``std`` of the
        numeric columns, ``median`` and ``iqr`` of the heavy-tailed ones, ``n_levels`` of the
        categorical ones and ``level_offset``, the number of levels of all columns before each.
    """
    levels = np.array(matrix.levels, dtype=np.int64)
    numeric, categorical = np.flatnonzero(levels == 0), np.flatnonzero(levels)
    scales = [fit_column_scale(matrix.values[:, column]) for column in numeric]
    heavy_tailed = [i for i, scale in enumerate(scales) if scale.is_heavy_tailed]
    has_missing = [bool(np.isnan(matrix.values[:, column]).any()) for column in numeric]

    def stack_field(name: str, indices: Any) -> Array:
        return np.array([getattr(scales[i], name) for i in indices], dtype=np.float32)

    return {
        "numeric": numeric,
        "mean": stack_field("mean", range(len(numeric))),
        "std": stack_field("std", range(len(numeric))),
        "heavy_tailed": numeric[heavy_tailed],
        "median": stack_field("median", heavy_tailed),
        "iqr": stack_field("iqr", heavy_tailed),
        "with_missing": numeric[np.array(has_missing, dtype=bool)],
        "categorical": categorical,
        "n_levels": levels[categorical],
        "level_offset": np.cumsum(levels[categorical]) - levels[categorical],
    }


def encode_numbers(design_params: Mapping[str, Array], values: Array) -> Array:
    """Standardize numbers, add heavy-tailed ones on a logarithmic scale, flag missing values.

    Missing values become 0, which is the mean, or the median on the logarithmic scale.

    Returns:
        Shape (rows, numeric + heavy-tailed + with missing), float32.
    """
    params = design_params
    with np.errstate(over="ignore"):  # infinities are clipped below
        standardized = (values[:, params["numeric"]] - params["mean"]) / params["std"]
        tail_values = values[:, params["heavy_tailed"]]
        # asinh is logarithmic far from 0, linear near 0, and defined for negative numbers.
        heavy_tails = np.arcsinh((tail_values - params["median"]) / params["iqr"])
    numbers = np.clip(
        np.nan_to_num(np.hstack([standardized, heavy_tails]), nan=0.0),
        -MAX_ABS_ZSCORE,
        MAX_ABS_ZSCORE,
    )
    flags = np.isnan(values[:, params["with_missing"]])
    return np.hstack([numbers, flags]).astype(np.float32)


def encode_levels(design_params: Mapping[str, Array], values: Array) -> Array:
    """Position of each code among the levels of all columns, from 1; 0 for unseen levels.

    Returns:
        Shape (rows, categorical), int64.
    """
    codes = values[:, design_params["categorical"]]
    # Codes are whole numbers stored as float32; NaN fails both comparisons and counts as unseen.
    is_known = (codes > 0.5) & (codes < design_params["n_levels"] + 0.5)
    positions = np.where(is_known, codes + design_params["level_offset"], 0)
    return np.asarray(positions.astype(np.int64))


def build_design_matrix(design_params: Mapping[str, Array], values: Array) -> Any:
    """Numbers, flags and one-hot levels side by side, for fitting.

    Returns:
        Shape (rows, columns), float32: an array, or a CSR matrix where there are many levels.
    """
    numbers, level_positions = (
        encode_numbers(design_params, values),
        encode_levels(design_params, values),
    )
    row, column = np.nonzero(level_positions)
    one_hot = sparse.csr_matrix(
        (np.ones(len(row), dtype=np.float32), (row, level_positions[row, column] - 1)),
        shape=(len(values), int(design_params["n_levels"].sum())),
    )
    if one_hot.shape[1] <= MAX_DENSE_LEVELS:
        return np.hstack([numbers, one_hot.toarray()])
    return sparse.hstack([sparse.csr_matrix(numbers), one_hot], format="csr")
