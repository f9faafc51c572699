"""Tell from training photos whether left and right may be swapped: a cat yes, a digit no."""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.kinds.image.handcrafted_features import extract_features

MIN_FLIPPED_R2_RATIO = (
    0.8  # share of what is told of photos that must be told of their mirror images as well
)
MIN_R2 = 0.05  # share of the target's variance below which nothing can be said
RIDGE_ALPHA_PER_FEATURE = 3.0  # a row's worth of shrinkage for each feature
MIN_IMAGES = 40  # photos


def is_flip_invariant(pixels: Array, target: Array) -> bool:
    """Whether what is asked of photos is told of their mirror images just as well.

    A linear model over colours and edges is fitted on one half of the photos, and tells the other
    half as they are and mirrored. Where that tells nothing, photos are left as they are.

    Args:
        pixels: training photos, shape (photos, side, side, 3).
        target: what is to be told of them, shape (photos, columns).
    """
    if len(pixels) < MIN_IMAGES:
        return False
    original = extract_features(pixels).astype(np.float64)
    flipped = extract_features(pixels[:, :, ::-1]).astype(np.float64)
    std = original.std(axis=0)
    original, flipped = (
        (values - original.mean(axis=0))[:, std > 0] / std[std > 0]
        for values in (original, flipped)
    )
    halves = np.random.default_rng(0).permutation(len(pixels)) % 2
    r2_sums = np.zeros(2)
    for half in (0, 1):
        train_mask, test_mask = halves == half, halves != half
        weights, intercept = fit_ridge(original[train_mask], target[train_mask])
        for i, values in enumerate((original, flipped)):
            r2_sums[i] += compute_r2(target[test_mask], values[test_mask] @ weights + intercept)
    original_r2, flipped_r2 = r2_sums / 2
    return bool(original_r2 > MIN_R2 and flipped_r2 >= MIN_FLIPPED_R2_RATIO * original_r2)


def fit_ridge(values: Array, target: Array) -> tuple[Array, Array]:
    """Weights and offsets of a linear model that is shrunk."""
    mean = target.mean(axis=0)
    gram = values.T @ values + RIDGE_ALPHA_PER_FEATURE * values.shape[1] * np.eye(values.shape[1])
    return np.linalg.solve(gram, values.T @ (target - mean)), mean


def compute_r2(target: Array, predictions: Array) -> float:
    """Share of the target's variance that predictions explain."""
    total_variance = float(np.square(target - target.mean(axis=0)).sum())
    return (
        float(1 - np.square(target - predictions).sum() / total_variance) if total_variance else 0.0
    )
