"""Find photos that look nearly the same, whatever their size, form or small changes of light."""

from __future__ import annotations

import numpy as np
import polars as pl

from fieldcraft.contracts import Array
from fieldcraft.evidence.ties import tied_groups
from fieldcraft.kinds.image.store import store_for

SIDE = 32  # of the squares that are compared
MOST = 20_000  # photos that are compared
NOTHING = np.zeros(3, dtype=np.uint8)
COARSE, SEEDS = 8, 0.99  # fields a side of the first look, and how alike two must be there
ALIKE = 0.985  # correlation of all pixels of two photos that are nearly the same
FLAT = 4.0  # spread of the pixels, of 255, below which a photo shows too little to compare
BLOCK = 512  # photos compared at once with all
MOST_PAIRS = 200_000  # beyond that photos are of one sort, such as scans of one form


def alike_rows(addresses: pl.Series) -> list[Array]:
    """Groups of rows whose photos look nearly the same, largest first."""
    found = addresses.to_list()
    there = [row for row, address in enumerate(found) if address is not None][:MOST]
    cells = [str(found[row]) for row in there]
    store = store_for(SIDE)
    kept = [i for i, torn in enumerate(store.broken(cells)) if not torn]
    places = np.array([there[i] for i in kept], dtype=np.int64)
    pixels = store.pixels([cells[i] for i in kept], NOTHING)
    groups, _ = near_groups(pixels)
    return [places[group] for group in groups]


def near_groups(pixels: Array) -> tuple[list[Array], bool]:
    """Groups of photos of which each is nearly the same as another of its group, largest first.

    Photos are compared as squares: first coarse ones in grey, then all pixels, both freed of
    brightness and contrast.

    Args:
        pixels: shape (photos, side, side, 3), the side a multiple of 8.

    Returns:
        Numbers of the photos of each group, and whether all photos were compared: where very
        many are alike, the rest is left.
    """
    spread = pixels.reshape(len(pixels), int(np.prod(pixels.shape[1:]))).std(axis=1)
    told = np.flatnonzero(spread >= FLAT)
    coarse = standardised(fields(pixels[told]))
    alike = [np.zeros((0, 2), dtype=np.int64)]
    seen = start = 0
    while start < len(coarse) and seen <= MOST_PAIRS:
        likeness = coarse[start : start + BLOCK] @ coarse[start:].T
        pairs = told[start + np.argwhere(np.triu(likeness >= SEEDS, 1))]
        alike.append(pairs[correlations(pixels, *pairs.T) >= ALIKE])
        seen, start = seen + len(pairs), start + BLOCK
    return tied_groups(len(pixels), np.concatenate(alike)), start >= len(coarse)


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
