"""What the linear model multiplies: numbers, flags for gaps, and one 0/1 column a level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from fieldcraft.contracts import Matrix
from fieldcraft.core.types import Array

MAX_ABS_ZSCORE = 10.0  # where a standardised number stops, against wild extrapolation
HEAVY_TAIL_MIN_SKEW = 2.0
MAX_DENSE_LEVELS = 256  # columns of levels; more of them are kept as a sparse matrix
MIN_NORMAL_FLOAT32, MAX_FLOAT32 = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ColumnScale:
    """Where a number column lies on training rows, and how wide it is."""

    mean: float = 0.0
    std: float = 1.0
    median: float = 0.0
    iqr: float = 1.0
    is_heavy_tailed: bool = False


def fit_column_scale(column: Array) -> ColumnScale:
    """Mean and deviation; for a column with a heavy tail also median and quartile distance."""
    present = column[~np.isnan(column)].astype(np.float64)
    std = float(present.std()) if len(present) else 0.0
    if std < MIN_NORMAL_FLOAT32:
        return ColumnScale(mean=float(present[0]) if len(present) else 0.0)
    mean = float(present.mean())
    skew = float((((present - mean) / std) ** 3).mean())
    low, median, high = (float(value) for value in np.quantile(present, [0.25, 0.5, 0.75]))
    iqr = high - low if high - low >= MIN_NORMAL_FLOAT32 else std
    return ColumnScale(mean, std, median, min(iqr, MAX_FLOAT32), abs(skew) > HEAVY_TAIL_MIN_SKEW)


def fit_design(matrix: Matrix) -> dict[str, Array]:
    """What `numbers_of` and `places_of` need, from training rows.

    Returns:
        Arrays by name. Columns of the matrix: ``numeric``, those of them with a heavy tail
        ``heavy``, those with gaps ``flagged``, those of codes ``coded``; then ``centre`` and
        ``spread`` of the numeric ones, ``middle`` and ``width`` of the heavy ones, ``levels`` of
        the coded ones and ``first``, the place before the first level of each.
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
        "centre": stack_field("centre", range(len(numeric))),
        "spread": stack_field("spread", range(len(numeric))),
        "heavy": numeric[heavy_tailed],
        "middle": stack_field("middle", heavy_tailed),
        "width": stack_field("width", heavy_tailed),
        "flagged": numeric[np.array(has_missing, dtype=bool)],
        "coded": categorical,
        "levels": levels[categorical],
        "first": np.cumsum(levels[categorical]) - levels[categorical],
    }


def encode_numbers(design_params: Mapping[str, Array], values: Array) -> Array:
    """Numbers standardised, heavy tails once more on a logarithmic scale, flags for gaps.

    Gaps become 0: the mean, or the median of a heavy tail.

    Returns:
        Shape (rows, numeric + heavy + flagged), float32.
    """
    params = design_params
    with np.errstate(over="ignore"):  # what overflows is cut off
        standardized = (values[:, params["numeric"]] - params["centre"]) / params["spread"]
        heavy_tails = np.arcsinh((values[:, params["heavy"]] - params["middle"]) / params["width"])
    numbers = np.clip(
        np.nan_to_num(np.hstack([standardized, heavy_tails]), nan=0.0),
        -MAX_ABS_ZSCORE,
        MAX_ABS_ZSCORE,
    )
    flags = np.isnan(values[:, params["flagged"]])
    return np.hstack([numbers, flags]).astype(np.float32)


def encode_levels(design_params: Mapping[str, Array], values: Array) -> Array:
    """Place of each code among the levels of all columns, counted from 1; 0 for unseen ones.

    Returns:
        Shape (rows, coded), int64.
    """
    codes = values[:, design_params["coded"]]
    is_known = (codes > 0.5) & (codes < design_params["levels"] + 0.5)
    return np.asarray(np.where(is_known, codes + design_params["first"], 0).astype(np.int64))


def build_design_matrix(design_params: Mapping[str, Array], values: Array) -> Any:
    """Numbers, flags and one 0/1 column a level, side by side, for fitting.

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
        shape=(len(values), int(design_params["levels"].sum())),
    )
    if one_hot.shape[1] <= MAX_DENSE_LEVELS:
        return np.hstack([numbers, one_hot.toarray()])
    return sparse.hstack([sparse.csr_matrix(numbers), one_hot], format="csr")
