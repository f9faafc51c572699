"""Whether values depend on the order of the rows.

Wald & Wolfowitz, *On a Test Whether Two Samples Are from the Same Population*, 1940 (runs), and
*An Exact Test for Randomness in the Non-Parametric Case Based on Serial Correlation*, 1943.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.statistics.association import average_ranks, explained_variance_fraction

N_BLOCKS = 20  # of the order, in which `trend` compares means
MIN_ROWS_PER_BLOCK = 10
N_PERMUTATIONS = 20
SHRINKAGE_ROWS = 5.0  # rows with the overall mean that are added to each level
BACKFITTING_STEP = 0.7  # below 1, as redundant columns would overshoot in turn
N_BACKFITTING_ROUNDS = 4
MAX_CLASSES = 10


@dataclass(frozen=True)
class DependenceTest:
    """How similar nearby rows are, and how significant that is.

    Attributes:
        variance_fraction: fraction of the variance that nearby rows share, from 0, no more than by
            chance, to 1.
        z_score: standard deviations above what shuffled rows show.
    """

    variance_fraction: float
    z_score: float


def target_columns(y: Array, is_numeric: bool) -> Array:
    """A target as columns: its ranks, or an indicator of each of the ten largest classes."""
    if is_numeric:
        return average_ranks(y)[:, None]
    classes, counts = np.unique(y, return_counts=True)
    most_frequent = classes[np.argsort(-counts, kind="stable")[:MAX_CLASSES]]
    return np.asarray(y[:, None] == most_frequent, dtype=np.float64)


def serial_correlation(columns: Array) -> DependenceTest:
    """Lag-1 autocorrelation of rows, compared with permutations of the same rows.

    Args:
        columns: values in the order to test, shape (rows, columns).
    """
    if len(columns) < 2 * MIN_ROWS_PER_BLOCK:
        return DependenceTest(0.0, 0.0)
    columns = columns - columns.mean(axis=0)
    total_squares = float((columns**2).sum())
    if total_squares <= 0:
        return DependenceTest(0.0, 0.0)

    def lag_one_correlation(order: Array) -> float:
        return float((columns[order[1:]] * columns[order[:-1]]).sum()) / total_squares

    rng = np.random.default_rng(0)
    permuted = np.array(
        [lag_one_correlation(rng.permutation(len(columns))) for _ in range(N_PERMUTATIONS)]
    )
    correlation = lag_one_correlation(np.arange(len(columns)))
    # About 1 / sqrt(rows) is expected. The floor prevents a division by zero for columns of hardly
    # any variation, whose permutations are all alike.
    std = max(float(permuted.std()), 1 / len(columns))
    return DependenceTest(max(0.0, correlation), (correlation - float(permuted.mean())) / std)


def residuals_given(columns: Array, codes_by_column: Sequence[Array]) -> Array:
    """Residuals of columns after an additive model of some codes, fitted by backfitting.

    Crude, but enough to see whether neighboring rows are similar only because their features are
    (Hastie & Tibshirani, *Generalized Additive Models*, 1990).

    Args:
        columns: shape (rows, columns).
        codes_by_column: the codes of each feature from 0, each of shape (rows,).
    """
    residuals: Array = columns - columns.mean(axis=0)
    # Shrunk toward the overall mean, which is 0 here: a level of one row would otherwise explain
    # that row completely.
    smoothed_counts = [np.bincount(codes) + SHRINKAGE_ROWS for codes in codes_by_column]
    for _ in range(N_BACKFITTING_ROUNDS):
        for codes, smoothed_count in zip(codes_by_column, smoothed_counts, strict=True):
            for column in range(residuals.shape[1]):
                means = np.bincount(codes, weights=residuals[:, column]) / smoothed_count
                residuals[:, column] -= BACKFITTING_STEP * means[codes]
    return residuals


def trend(columns: Array) -> DependenceTest:
    """How similar rows in the same twentieth of the order are, as under a trend or slow change.

    Args:
        columns: values in the order to test, shape (rows, columns).
    """
    n_rows = len(columns)
    n_blocks = min(N_BLOCKS, n_rows // MIN_ROWS_PER_BLOCK)
    if n_blocks < 2:
        return DependenceTest(0.0, 0.0)
    variance_fraction = explained_variance_fraction(np.arange(n_rows) * n_blocks // n_rows, columns)
    # Without dependence the explained variance times the rows is about a chi-square with
    # (blocks - 1) degrees of freedom, whose standard deviation is sqrt(2 (blocks - 1)). Its mean is
    # already subtracted in the fraction, which is adjusted for chance.
    return DependenceTest(
        variance_fraction, variance_fraction * n_rows / (2 * (n_blocks - 1)) ** 0.5
    )


def count_runs(y: Array) -> int:
    """The number of runs of equal values."""
    return int((y[1:] != y[:-1]).sum()) + 1 if len(y) else 0
