"""Measures of association between variables, on codes and ranks.

Goodman & Kruskal, *Measures of Association for Cross Classifications*, 1954 (lambda, tau);
Theil, *On the Estimation of Relationships Involving Qualitative Variables*, 1970 (U);
Chatterjee, *A New Coefficient of Correlation*, 2021 (xi);
Kelley, *An Unbiased Correlation Ratio Measure*, 1935 (epsilon squared).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.core.types import Array
from fieldcraft.statistics.proportions import wilson_interval

MAX_QUANTILE_BINS = 64
MIN_ROWS_PER_CLASS = 10  # rarer classes do not count
MIN_MEAN_ROWS_PER_LEVEL = 5.0  # with fewer, a column of names would explain any target
N_PERMUTATIONS = 5  # of the target, whose mean accuracy is that of chance
MAX_OUTLIER_FRACTION = 0.02  # of the rows, which may deviate from a function


def sample_rows(n_rows: int, max_rows: int, seed: int = 0) -> Array:
    """The positions of all rows, or of a random sample if there are too many, in order."""
    if n_rows <= max_rows:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(seed).choice(n_rows, max_rows, replace=False))


def to_floats(column: pl.Series) -> Array | None:
    """Numbers, booleans and times as floats, NaN where missing; None for other types."""
    if column.dtype in (pl.Date, pl.Datetime):
        column = column.dt.epoch("s")
    elif not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        return None
    return column.cast(pl.Float64).to_numpy()


def encode_levels(column: pl.Series, max_bins: int = MAX_QUANTILE_BINS) -> Array:
    """The column as codes from 0: quantile bins of numbers, levels of other types.

    Missing values are a level of their own. Of nested types, such as lists, only whether a value is
    missing counts.
    """
    values = to_floats(column)
    if values is not None:
        codes = quantile_codes(values, max_bins)
    elif column.dtype.is_nested():
        codes = column.is_null().to_numpy().astype(np.int64)
    else:
        # The first row of each level is its code: no sort, and no cast of the values.
        indexed = column.alias("value").to_frame().with_row_index("row")
        codes = indexed.select(pl.col("row").min().over("value")).to_series().to_numpy()
    return np.unique(codes, return_inverse=True)[1]


def quantile_codes(values: Array, max_bins: int = MAX_QUANTILE_BINS) -> Array:
    """Codes of numbers: quantile bins, or distinct values if few; NaN has a bin of its own."""
    present = values[~np.isnan(values)]
    if not len(present):
        return np.zeros(len(values), dtype=np.int64)
    distinct_values = np.unique(present)
    # At most as many levels as `association_strength` accepts for this number of rows; one of them
    # is for missing values.
    max_bins = max(2, min(max_bins, int(len(values) / MIN_MEAN_ROWS_PER_LEVEL) - 1))
    edges = (
        distinct_values
        if len(distinct_values) <= max_bins
        else np.unique(np.quantile(present, np.linspace(0, 1, max_bins + 1)[1:-1]))
    )
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))


def average_ranks(values: Array) -> Array:
    """Ranks of numbers from 1; ties share their mean rank."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[codes])


def spearman_correlation(a: Array, b: Array) -> float:
    """Spearman's rank correlation; 0 where one side is constant."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(average_ranks(a), average_ranks(b))[0, 1])


def split_targets(y: Array, names: Sequence[str]) -> list[tuple[str, Array]]:
    """Each target column with its name: one, or as many as there are labels.

    Args:
        y: numbers or class indexes (rows,), or labels 0 or 1 (rows, labels).
        names: of the target columns.
    """
    if y.ndim == 1:
        return [(names[0], y)]
    return [(name, label.astype(np.int64)) for name, label in zip(names, y.T, strict=True)]


def association_strength(
    codes: Array, y: Array, is_numeric: bool, min_strength: float = 0.0
) -> float:
    """The fraction of a target that codes explain beyond chance, from 0 to 1.

    Args:
        codes: from 0, shape (rows,).
        y: numbers, or class indexes, shape (rows,).
        is_numeric: whether the target is a number.
        min_strength: below which the exact value does not matter and 0 may be returned.
    """
    n_levels = int(codes.max()) + 1 if len(codes) else 0
    if n_levels < 2 or len(y) < MIN_MEAN_ROWS_PER_LEVEL * n_levels:
        return 0.0
    return (
        correlation_ratio(codes, y)
        if is_numeric
        else goodman_kruskal_lambda(codes, y, min_strength)
    )


def correlation_ratio(codes: Array, y: Array) -> float:
    """The fraction of the variance of the target's ranks that codes explain beyond chance."""
    # Ranks, as a few extreme values would dominate the variance and hide that all others are
    # explained.
    return explained_variance_fraction(codes, average_ranks(y)[:, None])


def explained_variance_fraction(codes: Array, columns: Array) -> float:
    """The fraction of the summed variance of columns that codes explain beyond chance.

    Kelley's epsilon squared; on class indicators, Goodman and Kruskal's tau adjusted likewise.

    Args:
        codes: from 0, shape (rows,).
        columns: shape (rows, columns).
    """
    n_rows, counts = len(codes), np.bincount(codes)
    centered = columns - columns.mean(axis=0)
    total_squares = float((centered**2).sum())
    if total_squares <= 0:
        return 0.0
    explained_squares = sum(
        float((np.bincount(codes, weights=column) ** 2 / np.maximum(counts, 1)).sum())
        for column in centered.T
    )
    # k levels explain k - 1 of n - 1 degrees of freedom by chance alone. Kelley compares the
    # unbiased variances, residual / (n - k) and total / (n - 1), which makes it 0 on average for
    # unrelated codes. Eta squared, uncorrected, would flag every column with many levels.
    unbiased_residual = (
        (total_squares - explained_squares)
        / max(n_rows - int((counts > 0).sum()), 1)
        * (n_rows - 1)
    )
    return max(0.0, 1 - unbiased_residual / total_squares)


def goodman_kruskal_lambda(codes: Array, y: Array, min_strength: float = 0.0) -> float:
    """The fraction of the errors of guessing a class that knowing the codes removes.

    Goodman and Kruskal's lambda on balanced classes, less what permuted targets reach by chance.
    Classes with fewer than ten rows are left out. Below ``min_strength`` it may return 0.
    """
    # Balanced: under heavy imbalance the largest class is the best guess for every code, and lambda
    # would be 0. Permuted: a rare class has levels to itself by chance alone.
    is_common = np.bincount(y)[y] >= MIN_ROWS_PER_CLASS
    _, classes = np.unique(y[is_common], return_inverse=True)
    n_classes = int(classes.max()) + 1 if len(classes) else 0
    if n_classes < 2:
        return 0.0
    common_codes = codes[is_common]
    accuracy = best_balanced_accuracy(common_codes, classes, n_classes)
    # Chance accuracy is at least that of a uniform guess, so this is an upper bound of the
    # strength: a column below the minimum needs no permutations.
    if accuracy - 1 / n_classes < min_strength * (1 - 1 / n_classes):
        return 0.0
    rng = np.random.default_rng(0)
    permuted_accuracies = [
        best_balanced_accuracy(common_codes, rng.permutation(classes), n_classes)
        for _ in range(N_PERMUTATIONS)
    ]
    chance_accuracy = float(np.mean(permuted_accuracies))
    return (
        max(0.0, (accuracy - chance_accuracy) / (1 - chance_accuracy))
        if chance_accuracy < 1
        else 0.0
    )


def best_balanced_accuracy(codes: Array, classes: Array, n_classes: int) -> float:
    """The highest balanced accuracy of any rule that assigns one class to each code."""
    contingency = np.bincount(
        codes * n_classes + classes, minlength=(int(codes.max()) + 1) * n_classes
    )
    recalls = contingency.reshape(-1, n_classes) / np.maximum(
        np.bincount(classes, minlength=n_classes), 1
    )
    return float(recalls.max(axis=1).sum()) / n_classes


@dataclass(frozen=True)
class ClassLift:
    """The code that identifies one class best, though it may say nothing about the others.

    Attributes:
        lift: rise of the class's frequency above its prior, as a fraction of the largest possible
            one; a lower confidence bound.
        code: the code.
        class_index: the class it identifies.
        confidence: fraction of the rows with the code that have the class.
        n_rows: number of rows with the code.
    """

    lift: float
    code: int
    class_index: int
    confidence: float
    n_rows: int


def find_best_lift(codes: Array, y: Array, min_rows: int = 30) -> ClassLift:
    """The code that makes one class most nearly certain, among codes with enough rows.

    Args:
        codes: from 0, shape (rows,).
        y: class indexes, shape (rows,).
        min_rows: smallest number of rows with the code.
    """
    best = ClassLift(0.0, 0, 0, 0.0, 0)
    if not len(y):
        return best
    n_classes, n_levels = int(y.max()) + 1, int(codes.max()) + 1
    contingency = np.bincount(codes * n_classes + y, minlength=n_levels * n_classes).reshape(
        n_levels, n_classes
    )
    class_priors = np.bincount(y, minlength=n_classes) / len(y)
    for code in np.flatnonzero(contingency.sum(axis=1) >= min_rows):
        n_rows = int(contingency[code].sum())
        class_index = int((contingency[code] / n_rows - class_priors).argmax())
        # By the lower bound: of many codes with few rows each, one would win by chance.
        lower_bound = wilson_interval(int(contingency[code, class_index]), n_rows).low
        lift = (
            (lower_bound - class_priors[class_index]) / (1 - class_priors[class_index])
            if class_priors[class_index] < 1
            else 0.0
        )
        if lift > best.lift:
            confidence = float(contingency[code, class_index]) / n_rows
            best = ClassLift(float(lift), int(code), class_index, confidence, n_rows)
    return best


def theils_u(codes: Array, target_codes: Array) -> float:
    """Theil's U: the fraction of the target's entropy that codes remove beyond chance.

    Args:
        codes: of the known variable, from 0, shape (rows,).
        target_codes: of the target, from 0, shape (rows,).
    """
    n_rows, n_target_levels = len(codes), int(target_codes.max()) + 1 if len(target_codes) else 0
    target_entropy = entropy(np.bincount(target_codes)) if n_rows else 0.0
    if target_entropy <= 0:
        return 0.0
    joint_counts = np.bincount(codes * n_target_levels + target_codes)
    mutual_information = entropy(np.bincount(codes)) + target_entropy - entropy(joint_counts)
    # The mean mutual information of two unrelated variables in so many rows (Miller 1955).
    chance_information = (
        (len(np.unique(codes)) - 1) * (len(np.unique(target_codes)) - 1) / (2 * n_rows)
    )
    return float(min(1.0, max(0.0, (mutual_information - chance_information) / target_entropy)))


def entropy(counts: Array) -> float:
    """Entropy of counts, in nats."""
    probabilities = counts[counts > 0] / counts.sum()
    return float(-(probabilities * np.log(probabilities)).sum())


def chatterjee_xi(x: Array, y: Array) -> float:
    """How nearly y is a function of x: 1 for a function, about 0 for unrelated numbers.

    Chatterjee's xi, computed without the 2 % of rows that deviate most. Where values of x repeat, a
    step function scores 1 too: the targets of one value do not overlap those of another.

    Args:
        x: without missing values, shape (rows,).
        y: the target, shape (rows,).
    """
    n_rows = len(x)
    if n_rows < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    y_ranks = average_ranks(y)
    # Ties of x are ordered at random, as in Chatterjee's paper: in the order of the file they might
    # be sorted by y, and look like a function.
    random_order = np.random.default_rng(0).permutation(n_rows)
    order = random_order[np.argsort(x[random_order], kind="stable")]
    rank_steps = np.sort(np.abs(np.diff(y_ranks[order])))
    kept_steps = rank_steps[: max(1, int(len(rank_steps) * (1 - MAX_OUTLIER_FRACTION)))]
    # xi compares the sum of the steps with its mean for a random order: n**2 / 3 for n ranks if no
    # two are tied, in general the number of steps times the mean difference of two ranks (Gini),
    # 2 / n**2 * sum((2 i - n - 1) * r) for sorted ranks r. The smallest possible sum, the range, is
    # subtracted from both, so that a monotone function scores exactly 1.
    min_total = float(np.ptp(y_ranks))
    weights = 2 * np.arange(1, n_rows + 1) - n_rows - 1
    expected_total = float((weights * np.sort(y_ranks)).sum()) * 2 / n_rows**2 * len(kept_steps)
    xi = (
        1 - (float(kept_steps.sum()) - min_total) / (expected_total - min_total)
        if expected_total > min_total
        else 0.0
    )
    return min(1.0, max(xi, step_function_score(x, y_ranks)))


def step_function_score(x: Array, y_ranks: Array) -> float:
    """The number of rows over the summed rank ranges of all values of x: 1 if none overlap."""
    _, codes, counts = np.unique(x, return_inverse=True, return_counts=True)
    if counts.mean() < 2:  # a value of x with one row has a range of one rank, whatever y is
        return 0.0
    min_ranks, max_ranks = np.full(len(counts), np.inf), np.full(len(counts), -np.inf)
    np.minimum.at(min_ranks, codes, y_ranks)
    np.maximum.at(max_ranks, codes, y_ranks)
    return float(min(1.0, len(x) / max(float((max_ranks - min_ranks + 1).sum()), 1.0)))
