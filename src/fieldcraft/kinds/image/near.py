"""Find photos that look nearly the same, whatever their size, form or small changes of light."""

from __future__ import annotations

import numpy as np

from fieldcraft.contracts import Array

COARSE, SEEDS = 8, 0.99  # fields a side of the first look, and how alike two must be there
ALIKE = 0.985  # correlation of all pixels of two photos that are nearly the same
FLAT = 4.0  # spread of the pixels, of 255, below which a photo shows too little to compare
BLOCK = 512  # photos compared at once with all
MOST_PAIRS = 200_000  # beyond that photos are of one sort, such as scans of one form


def near_groups(pixels: Array) -> list[list[int]]:
    """Groups of photos of which each is nearly the same as another of its group.

    Photos are compared as squares: first coarse ones in grey, then all pixels, both freed of
    brightness and contrast.

    Args:
        pixels: shape (photos, side, side, 3), the side a multiple of 8.
    """
    if len(pixels) < 2:
        return []
    told = np.flatnonzero(pixels.reshape(len(pixels), -1).std(axis=1) >= FLAT)
    coarse = standardised(fields(pixels[told]))
    home = np.arange(len(pixels))
    seen = 0
    for start in range(0, len(told), BLOCK):
        likeness = coarse[start : start + BLOCK] @ coarse[start:].T
        ones, others = np.nonzero(np.triu(likeness >= SEEDS, 1))
        seen += len(ones)
        if seen > MOST_PAIRS:
            break
        pairs = told[start + ones], told[start + others]
        alike = correlations(pixels, *pairs) >= ALIKE
        for one, other in zip(pairs[0][alike], pairs[1][alike], strict=True):
            join(home, int(one), int(other))
    groups: dict[int, list[int]] = {}
    for photo in range(len(pixels)):
        groups.setdefault(root(home, photo), []).append(photo)
    return [group for group in groups.values() if len(group) > 1]


def fields(pixels: Array) -> Array:
    """Mean greys of an 8 x 8 grid, shape (photos, 64)."""
    step = pixels.shape[1] // COARSE
    grey = pixels.mean(axis=-1, dtype=np.float32)
    cut = grey.reshape(len(pixels), COARSE, step, COARSE, step)
    return np.asarray(cut.mean(axis=(2, 4)).reshape(-1, COARSE**2))


def standardised(values: Array) -> Array:
    """Rows of mean 0 and length 1, so that their products are correlations."""
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6))


def correlations(pixels: Array, ones: Array, others: Array) -> Array:
    """Correlation of all pixels of pairs of photos."""
    found = np.zeros(len(ones))
    for start in range(0, len(ones), BLOCK):
        part = slice(start, start + BLOCK)
        left, right = (
            standardised(pixels[where[part]].reshape(len(where[part]), -1).astype(np.float32))
            for where in (ones, others)
        )
        found[part] = (left * right).sum(axis=1)
    return found


def root(home: Array, photo: int) -> int:
    """The photo that stands for the group of one."""
    while home[photo] != photo:
        home[photo] = home[home[photo]]
        photo = int(home[photo])
    return photo


def join(home: Array, one: int, other: int) -> None:
    """Put the groups of two photos together; the first photo stands for both."""
    a, b = root(home, one), root(home, other)
    home[max(a, b)] = min(a, b)
