"""Whether values depend on the order in which they stand.

Wald & Wolfowitz, *On a Test Whether Two Samples Are from the Same Population*, 1940 (runs), and
*An Exact Test for Randomness in the Non-Parametric Case Based on Serial Correlation*, 1943.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldcraft.evidence.association import ranks, variance_told

Array = npt.NDArray[Any]

BLOCKS = 20
LEAST_ROWS_A_BLOCK = 10
SHUFFLES = 20
SHRINKING = 5.0  # rows of the overall mean that each level is given
STEP = 0.7
ROUNDS = 4
MOST_CLASSES = 10


@dataclass(frozen=True)
class Likeness:
    """How alike rows near each other are, and how sure that is.

    Attributes:
        share: of the variance that is common to them, 0 for no more than by chance to 1.
        score: deviations from what shuffled rows show (a z-score).
    """

    share: float
    score: float


def spread_out(y: Array, value: bool) -> Array:
    """A target as columns: its ranks, or an indicator of each of the ten commonest classes."""
    if value:
        return ranks(y)[:, None]
    classes, counts = np.unique(y, return_counts=True)
    common = classes[np.argsort(-counts, kind="stable")[:MOST_CLASSES]]
    return np.asarray(y[:, None] == common, dtype=np.float64)


def neighbours(columns: Array) -> Likeness:
    """How alike the values of neighbouring rows are, set against shuffles of the same rows.

    Args:
        columns: values in the order in question, shape (rows, columns).
    """
    if len(columns) < 2 * LEAST_ROWS_A_BLOCK:
        return Likeness(0.0, 0.0)
    columns = columns - columns.mean(axis=0)
    total = float((columns**2).sum())
    if total <= 0:
        return Likeness(0.0, 0.0)

    def alike(order: Array) -> float:
        return float((columns[order[1:]] * columns[order[:-1]]).sum()) / total

    draw = np.random.default_rng(0)
    chance = np.array([alike(draw.permutation(len(columns))) for _ in range(SHUFFLES)])
    share = alike(np.arange(len(columns)))
    deviation = max(float(chance.std()), 1 / len(columns))
    return Likeness(max(0.0, share), (share - float(chance.mean())) / deviation)


def unexplained(columns: Array, known: Sequence[Array]) -> Array:
    """What is left of columns when the means by each of some codes are taken away in turn.

    An additive model fitted by backfitting: crude, but enough to see whether neighbours are
    alike only because what is known of them is.

    Args:
        columns: shape (rows, columns).
        known: codes from 0, each of shape (rows,).
    """
    left: Array = columns - columns.mean(axis=0)
    counts = [np.bincount(codes) + SHRINKING for codes in known]
    for _ in range(ROUNDS):
        for codes, sizes in zip(known, counts, strict=True):
            for column in range(left.shape[1]):
                means = np.bincount(codes, weights=left[:, column]) / sizes
                left[:, column] -= STEP * means[codes]
    return left


def drift(columns: Array) -> Likeness:
    """How alike rows of the same stretch of the order are, of 20: slow changes, such as a trend.

    Args:
        columns: values in the order in question, shape (rows, columns).
    """
    rows = len(columns)
    blocks = min(BLOCKS, rows // LEAST_ROWS_A_BLOCK)
    if blocks < 2:
        return Likeness(0.0, 0.0)
    share = variance_told(np.arange(rows) * blocks // rows, columns)
    return Likeness(share, share * rows / (2 * (blocks - 1)) ** 0.5)  # as a chi-square


def runs(y: Array) -> int:
    """How many stretches of equal values there are."""
    return int((y[1:] != y[:-1]).sum()) + 1 if len(y) else 0
