"""Whether values depend on the order in which they stand.

Wald & Wolfowitz, *On a Test Whether Two Samples Are from the Same Population*, 1940 (runs), and
*An Exact Test for Randomness in the Non-Parametric Case Based on Serial Correlation*, 1943.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.statistics.association import average_ranks, explained_variance_fraction

N_BLOCKS = 20
MIN_ROWS_PER_BLOCK = 10
N_PERMUTATIONS = 20
SHRINKAGE_ROWS = 5.0  # rows of the overall mean that each level is given
BACKFITTING_STEP = 0.7
N_BACKFITTING_ROUNDS = 4
MAX_CLASSES = 10


@dataclass(frozen=True)
class DependenceTest:
    """How alike rows near each other are, and how sure that is.

    Attributes:
        variance_fraction: of the variance that is common to them, 0 for no more than by chance to 1.
        z_score: deviations from what shuffled rows show (a z-score).
    """

    variance_fraction: float
    z_score: float


def target_columns(y: Array, is_numeric: bool) -> Array:
    """A target as columns: its ranks, or an indicator of each of the ten commonest classes."""
    if is_numeric:
        return average_ranks(y)[:, None]
    classes, counts = np.unique(y, return_counts=True)
    most_frequent = classes[np.argsort(-counts, kind="stable")[:MAX_CLASSES]]
    return np.asarray(y[:, None] == most_frequent, dtype=np.float64)


def serial_correlation(columns: Array) -> DependenceTest:
    """How alike the values of neighbouring rows are, set against shuffles of the same rows.

    Args:
        columns: values in the order in question, shape (rows, columns).
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
    std = max(float(permuted.std()), 1 / len(columns))
    return DependenceTest(max(0.0, correlation), (correlation - float(permuted.mean())) / std)


def residuals_given(columns: Array, codes_by_column: Sequence[Array]) -> Array:
    """What is left of columns when the means by each of some codes are taken away in turn.

    An additive model fitted by backfitting: crude, but enough to see whether neighbours are
    alike only because what is known of them is.

    Args:
        columns: shape (rows, columns).
        codes_by_column: codes from 0, each of shape (rows,).
    """
    residuals: Array = columns - columns.mean(axis=0)
    smoothed_counts = [np.bincount(codes) + SHRINKAGE_ROWS for codes in codes_by_column]
    for _ in range(N_BACKFITTING_ROUNDS):
        for codes, smoothed_count in zip(codes_by_column, smoothed_counts, strict=True):
            for column in range(residuals.shape[1]):
                means = np.bincount(codes, weights=residuals[:, column]) / smoothed_count
                residuals[:, column] -= BACKFITTING_STEP * means[codes]
    return residuals


def trend(columns: Array) -> DependenceTest:
    """How alike rows of the same stretch of the order are, of 20: slow changes, such as a trend.

    Args:
        columns: values in the order in question, shape (rows, columns).
    """
    n_rows = len(columns)
    n_blocks = min(N_BLOCKS, n_rows // MIN_ROWS_PER_BLOCK)
    if n_blocks < 2:
        return DependenceTest(0.0, 0.0)
    variance_fraction = explained_variance_fraction(np.arange(n_rows) * n_blocks // n_rows, columns)
    return DependenceTest(
        variance_fraction, variance_fraction * n_rows / (2 * (n_blocks - 1)) ** 0.5
    )  # as a chi-square


def count_runs(y: Array) -> int:
    """How many stretches of equal values there are."""
    return int((y[1:] != y[:-1]).sum()) + 1 if len(y) else 0
