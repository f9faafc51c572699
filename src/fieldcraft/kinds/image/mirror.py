"""Tell from training photos whether left and right may be swapped: a cat yes, a digit no."""

from __future__ import annotations

import numpy as np

from fieldcraft.contracts import Array
from fieldcraft.kinds.image.features import describe

KEPT = 0.8  # share of what is told of photos that must be told of their mirror images as well
LEAST = 0.05  # share of the target's variance below which nothing can be said
RIDGE = 3.0  # a row's worth of shrinkage for each feature
FEWEST = 40  # photos


def may_mirror(pixels: Array, target: Array) -> bool:
    """Whether what is asked of photos is told of their mirror images just as well.

    A linear model over colours and edges is fitted on one half of the photos, and tells the other
    half as they are and mirrored. Where that tells nothing, photos are left as they are.

    Args:
        pixels: training photos, shape (photos, side, side, 3).
        target: what is to be told of them, shape (photos, columns).
    """
    if len(pixels) < FEWEST:
        return False
    plain = describe(pixels).astype(np.float64)
    swapped = describe(pixels[:, :, ::-1]).astype(np.float64)
    spread = plain.std(axis=0)
    plain, swapped = (
        (values - plain.mean(axis=0))[:, spread > 0] / spread[spread > 0]
        for values in (plain, swapped)
    )
    halves = np.random.default_rng(0).permutation(len(pixels)) % 2
    told = np.zeros(2)
    for half in (0, 1):
        learned, asked = halves == half, halves != half
        weights, middle = ridge(plain[learned], target[learned])
        for number, values in enumerate((plain, swapped)):
            told[number] += share_told(target[asked], values[asked] @ weights + middle)
    as_it_is, as_mirrored = told / 2
    return bool(as_it_is > LEAST and as_mirrored >= KEPT * as_it_is)


def ridge(values: Array, target: Array) -> tuple[Array, Array]:
    """Weights and offsets of a linear model that is shrunk."""
    middle = target.mean(axis=0)
    square = values.T @ values + RIDGE * values.shape[1] * np.eye(values.shape[1])
    return np.linalg.solve(square, values.T @ (target - middle)), middle


def share_told(target: Array, found: Array) -> float:
    """Share of the target's variance that predictions explain."""
    spread = float(np.square(target - target.mean(axis=0)).sum())
    return float(1 - np.square(target - found).sum() / spread) if spread else 0.0
