"""Test on training photos whether they may be flipped: a cat yes, a digit no."""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array
from fieldcraft.kinds.image.handcrafted_features import extract_features

# R2 on flipped photos divided by R2 on the originals: 1.08 on CIFAR-10, .21 on magnetic tiles and
# negative on sign digits (docs/log.md).
MIN_FLIPPED_R2_RATIO = 0.8
MIN_R2 = 0.05  # below it, the model explains too little to decide
RIDGE_ALPHA_PER_FEATURE = 3.0
MIN_IMAGES = 40


def is_flip_invariant(pixels: Array, target: Array) -> bool:
    """Whether the target can be predicted from flipped photos as well as from the originals.

    A ridge model on handcrafted features is fitted on one half of the photos and evaluated on the
    other half, original and flipped; then the halves are exchanged. If the model explains nothing,
    photos are not flipped, which is the safe choice.

    Args:
        pixels: training photos, shape (photos, side, side, 3).
        target: indicator columns of the target, shape (photos, columns).
    """
    if len(pixels) < MIN_IMAGES:
        return False
    original = extract_features(pixels).astype(np.float64)
    flipped = extract_features(pixels[:, :, ::-1]).astype(np.float64)
    std = original.std(axis=0)
    # Both are scaled by the statistics of the originals, to which the model is fitted.
    original, flipped = (
        (values - original.mean(axis=0))[:, std > 0] / std[std > 0]
        for values in (original, flipped)
    )
    # A fixed seed, so that the result is the same for the same photos.
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
    """Weights and intercepts of a ridge regression on centered features."""
    mean = target.mean(axis=0)
    gram = values.T @ values + RIDGE_ALPHA_PER_FEATURE * values.shape[1] * np.eye(values.shape[1])
    return np.linalg.solve(gram, values.T @ (target - mean)), mean


def compute_r2(target: Array, predictions: Array) -> float:
    """Fraction of the variance of all target columns that predictions explain."""
    total_variance = float(np.square(target - target.mean(axis=0)).sum())
    return (
        float(1 - np.square(target - predictions).sum() / total_variance) if total_variance else 0.0
    )
