"""How much one thing tells of another: measures of association on codes and ranks.

Goodman & Kruskal, *Measures of Association for Cross Classifications*, 1954 (lambda, tau);
Theil, *On the Estimation of Relationships Involving Qualitative Variables*, 1970 (U);
Chatterjee, *A New Coefficient of Correlation*, 2021 (xi).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcraft.evidence.proportions import wilson

Array = npt.NDArray[Any]

BINS = 64
LEAST_ROWS_A_CLASS = 10
LEAST_ROWS_A_LEVEL = 5.0  # on average; else a column of names would explain everything
SHUFFLES = 5
STRAY = 0.02  # share of the rows that may stray from a function


def some(rows: int, most: int, seed: int = 0) -> Array:
    """Positions of all rows in their order, or of a random sample if there are too many."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def numbers_of(column: pl.Series) -> Array | None:
    """Numbers, truth values and moments as floats, NaN where missing; None for anything else."""
    if column.dtype in (pl.Date, pl.Datetime):
        column = column.dt.epoch("s")
    elif not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        return None
    return column.cast(pl.Float64).to_numpy()


def levels_of(column: pl.Series, bins: int = BINS) -> Array:
    """The column as codes from 0: quantile bins of numbers, levels of anything else.

    Missing values are a level of their own.
    """
    values = numbers_of(column)
    if values is not None:
        codes = binned(values, bins)
    elif column.dtype.is_nested():
        codes = column.is_null().to_numpy().astype(np.int64)
    else:
        rows = column.alias("value").to_frame().with_row_index("row")
        codes = rows.select(pl.col("row").min().over("value")).to_series().to_numpy()
    return np.unique(codes, return_inverse=True)[1]


def binned(values: Array, bins: int = BINS) -> Array:
    """Numbers as quantile bins, or as they are if there are few; NaN has a bin of its own."""
    there = values[~np.isnan(values)]
    if not len(there):
        return np.zeros(len(values), dtype=np.int64)
    distinct = np.unique(there)
    bins = max(2, min(bins, int(len(values) / LEAST_ROWS_A_LEVEL) - 1))  # one for missing
    edges = (
        distinct
        if len(distinct) <= bins
        else np.unique(np.quantile(there, np.linspace(0, 1, bins + 1)[1:-1]))
    )
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))


def ranks(values: Array) -> Array:
    """Ranks of numbers, ties sharing the mean of theirs."""
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[codes])


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's correlation; 0 where one side does not change."""
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def each_target(y: Array, names: Sequence[str]) -> list[tuple[str, Array]]:
    """Targets one by one with their names: one of them, or as many as there are labels.

    Args:
        y: numbers or class indexes (rows,), or labels 0 or 1 (rows, labels).
        names: of the target columns.
    """
    if y.ndim == 1:
        return [(names[0], y)]
    return [(name, label.astype(np.int64)) for name, label in zip(names, y.T, strict=True)]


def power_of(codes: Array, y: Array, value: bool, least: float = 0.0) -> float:
    """Share of a target that codes explain beyond chance, 0 to 1.

    Args:
        codes: from 0, shape (rows,).
        y: numbers, or class indexes.
        value: whether the target is a number.
        least: below which the exact share does not matter and 0 may be returned.
    """
    levels = int(codes.max()) + 1 if len(codes) else 0
    if levels < 2 or len(y) < LEAST_ROWS_A_LEVEL * levels:
        return 0.0
    return correlation_ratio(codes, y) if value else goodman_kruskal(codes, y, least)


def correlation_ratio(codes: Array, y: Array) -> float:
    """How much of the variance of the target's ranks the codes explain, less what is chance.

    Ranks, since a few far amounts would hide that the rest is given away.
    """
    return variance_told(codes, ranks(y)[:, None])


def variance_told(codes: Array, columns: Array) -> float:
    """Share of the summed variance of columns that codes explain, less what is chance.

    On class indicators this is Goodman and Kruskal's tau.

    Args:
        codes: from 0, shape (rows,).
        columns: shape (rows, columns).
    """
    rows, counts = len(codes), np.bincount(codes)
    centred = columns - columns.mean(axis=0)
    total = float((centred**2).sum())
    if total <= 0:
        return 0.0
    told = sum(
        float((np.bincount(codes, weights=column) ** 2 / np.maximum(counts, 1)).sum())
        for column in centred.T
    )
    inside = (total - told) / max(rows - int((counts > 0).sum()), 1) * (rows - 1)
    return max(0.0, 1 - inside / total)


def goodman_kruskal(codes: Array, y: Array, least: float = 0.0) -> float:
    """How much of the error of the best guess of a class vanishes when the codes are known.

    Goodman and Kruskal's lambda on balanced classes, set against that of shuffled targets: a rare
    class has its few rows in levels of their own by chance alone. Classes of fewer than ten
    rows are left out. A share below ``least`` may be returned as 0.
    """
    kept = np.bincount(y)[y] >= LEAST_ROWS_A_CLASS
    _, classes = np.unique(y[kept], return_inverse=True)
    count = int(classes.max()) + 1 if len(classes) else 0
    if count < 2:
        return 0.0
    known = codes[kept]
    right = balanced_right(known, classes, count)
    if right - 1 / count < least * (1 - 1 / count):  # chance is not below an even guess
        return 0.0
    draw = np.random.default_rng(0)
    shuffled = [balanced_right(known, draw.permutation(classes), count) for _ in range(SHUFFLES)]
    chance = float(np.mean(shuffled))
    return max(0.0, (right - chance) / (1 - chance)) if chance < 1 else 0.0


def balanced_right(codes: Array, classes: Array, count: int) -> float:
    """Mean over the classes of the share of their rows that the best guess by code gets right."""
    table = np.bincount(codes * count + classes, minlength=(int(codes.max()) + 1) * count)
    balanced = table.reshape(-1, count) / np.maximum(np.bincount(classes, minlength=count), 1)
    return float(balanced.max(axis=1).sum()) / count


@dataclass(frozen=True)
class Pure:
    """The code that gives one class away best, though it may be silent about the others.

    Attributes:
        lift: share of the way from the class's usual share to certainty, at the least.
        code: that gives the class away.
        target: the class.
        share: of the class among the rows of the code.
        rows: of the code.
    """

    lift: float
    code: int
    target: int
    share: float
    rows: int


def purest(codes: Array, y: Array, rows: int = 30) -> Pure:
    """The code under which one class is most nearly certain, of those with enough rows."""
    best = Pure(0.0, 0, 0, 0.0, 0)
    if not len(y):
        return best
    width, levels = int(y.max()) + 1, int(codes.max()) + 1
    table = np.bincount(codes * width + y, minlength=levels * width).reshape(levels, width)
    usual = np.bincount(y, minlength=width) / len(y)
    for code in np.flatnonzero(table.sum(axis=1) >= rows):
        count = int(table[code].sum())
        target = int((table[code] / count - usual).argmax())
        low = wilson(int(table[code, target]), count).low
        lift = (low - usual[target]) / (1 - usual[target]) if usual[target] < 1 else 0.0
        if lift > best.lift:
            share = float(table[code, target]) / count
            best = Pure(float(lift), int(code), target, share, count)
    return best


def uncertainty(codes: Array, of: Array) -> float:
    """Theil's U: share of the entropy of codes that other codes take away, less what is chance.

    Args:
        codes: what is known, from 0, shape (rows,).
        of: what is to be told, from 0, shape (rows,).
    """
    rows, width = len(codes), int(of.max()) + 1 if len(of) else 0
    whole = entropy(np.bincount(of)) if rows else 0.0
    if whole <= 0:
        return 0.0
    joint = np.bincount(codes * width + of)
    shared = entropy(np.bincount(codes)) + whole - entropy(joint)
    # Miller & Madow: what two unrelated codes share on average in so many rows.
    chance = (len(np.unique(codes)) - 1) * (len(np.unique(of)) - 1) / (2 * rows)
    return float(min(1.0, max(0.0, (shared - chance) / whole)))


def entropy(counts: Array) -> float:
    """Entropy of counts, in nats."""
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def exactness(x: Array, y: Array) -> float:
    """How nearly a number is a function of another: 1 for a function, about 0 for unrelated ones.

    Chatterjee's xi without the 2 % of rows that stray most: rows in the order of x have
    neighbouring targets. Where values of x repeat, a step function counts as exact too: the
    targets of one value lie apart from those of the others.

    Args:
        x: what is known, without gaps, shape (rows,).
        y: what is to be told, shape (rows,).
    """
    rows = len(x)
    if rows < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    place = ranks(y)
    shuffled = np.random.default_rng(0).permutation(rows)  # so that ties come in no order
    order = shuffled[np.argsort(x[shuffled], kind="stable")]
    steps = np.sort(np.abs(np.diff(place[order])))
    kept = steps[: max(1, int(len(steps) * (1 - STRAY)))]
    least = float(np.ptp(place))  # of a monotone function
    weights = 2 * np.arange(1, rows + 1) - rows - 1
    by_chance = float((weights * np.sort(place)).sum()) * 2 / rows**2 * len(kept)
    exact = 1 - (float(kept.sum()) - least) / (by_chance - least) if by_chance > least else 0.0
    return min(1.0, max(exact, stepped(x, place)))


def stepped(x: Array, place: Array) -> float:
    """Share of the ranks that the values of x, where they repeat, divide among them."""
    _, codes, counts = np.unique(x, return_inverse=True, return_counts=True)
    if counts.mean() < 2:
        return 0.0
    low, high = np.full(len(counts), np.inf), np.full(len(counts), -np.inf)
    np.minimum.at(low, codes, place)
    np.maximum.at(high, codes, place)
    return float(min(1.0, len(x) / max(float((high - low + 1).sum()), 1.0)))
