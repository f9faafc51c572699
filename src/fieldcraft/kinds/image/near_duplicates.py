"""Find near-duplicate photos: copies of other size, file format or slightly changed light."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from fieldcraft.core.types import Array
from fieldcraft.kinds.image.pixel_cache import get_pixel_cache
from fieldcraft.statistics.connected_components import connected_components

COMPARISON_SIDE_PIXELS = 32
FILL_COLOR = np.zeros(3, dtype=np.uint8)
COARSE_GRID_CELLS = 8  # per side, for the first comparison
MIN_COARSE_CORRELATION = 0.99
MIN_PIXEL_CORRELATION = 0.985
MIN_PIXEL_STD = 4.0  # of 255; photos with less contrast are not compared
BLOCK_IMAGES = 512  # photos per matrix product
MAX_EXHAUSTIVE_IMAGES = 20_000  # up to here all pairs are compared; with more, hash collisions
MAX_PAIRS = 200_000  # with more pairs most photos are alike, such as scans of one form
HASH_BITS = 64
# 20 tables of 22 bits find 97.8 % of 2,000 pairs of correlation 0.993 among 200,000 photos in 11 s;
# 12 tables of 24 bits find 93.1 % in 5 s, 24 tables of 20 bits 99.3 % in 31 s (docs/log.md).
N_HASH_TABLES, KEY_BITS = 20, 22
MAX_BUCKET_IMAGES = 1_000  # comparisons per photo and bucket
BATCH_ITEMS = 1 << 15  # photos or pairs per batch


def find_near_duplicate_images(addresses: pl.Series) -> list[Array]:
    """Groups of row positions whose photos are near-duplicates, largest first."""
    values = addresses.to_list()
    present_rows = [row for row, address in enumerate(values) if address is not None]
    present_addresses = [str(values[row]) for row in present_rows]
    cache = get_pixel_cache(COMPARISON_SIDE_PIXELS)
    readable = [
        i for i, is_broken in enumerate(cache.find_broken(present_addresses)) if not is_broken
    ]
    row_numbers = np.array([present_rows[i] for i in readable], dtype=np.int64)
    pixels = cache.get_pixels([present_addresses[i] for i in readable], FILL_COLOR)
    groups, _ = group_near_duplicates(pixels)
    return [row_numbers[group] for group in groups]


def group_near_duplicates(pixels: Array) -> tuple[list[Array], bool]:
    """Group photos so that each is a near-duplicate of another of its group, largest first.

    Photos are compared by correlation, which ignores brightness and contrast: first coarse
    grayscale grids, then all pixels of the candidate pairs.

    Args:
        pixels: shape (photos, side, side, 3), the side a multiple of 8.

    Returns:
        Positions of the photos of each group, and whether the comparison is complete: with very
        many pairs it stops early.
    """
    shown_indices, coarse = compute_coarse_descriptors(pixels)
    duplicate_pairs = [np.zeros((0, 2), dtype=np.int64)]
    n_compared = 0
    for candidate_pairs in iter_candidate_pairs(coarse):
        # With this many similar pairs, the exact comparison would take quadratic time.
        if n_compared > MAX_PAIRS:
            return connected_components(len(pixels), np.concatenate(duplicate_pairs)), False
        pairs = shown_indices[candidate_pairs]
        duplicate_pairs.append(
            pairs[compute_correlations(pixels, *pairs.T) >= MIN_PIXEL_CORRELATION]
        )
        n_compared += len(pairs)
    return connected_components(len(pixels), np.concatenate(duplicate_pairs)), True


def compute_coarse_descriptors(pixels: Array) -> tuple[Array, Array]:
    """Positions of the photos with enough contrast, and their coarse grids, standardized."""
    shown_indices, coarse = (
        [np.zeros(0, dtype=np.int64)],
        [np.zeros((0, COARSE_GRID_CELLS**2), dtype=np.float32)],
    )
    for start in range(0, len(pixels), BLOCK_IMAGES):
        batch = np.asarray(pixels[start : start + BLOCK_IMAGES])
        has_content = batch.reshape(len(batch), -1).std(axis=1) >= MIN_PIXEL_STD
        shown_indices.append(start + np.flatnonzero(has_content))
        coarse.append(standardize_rows(average_gray_cells(batch[has_content])))
    return np.concatenate(shown_indices), np.concatenate(coarse)


def iter_candidate_pairs(coarse: Array) -> Iterator[Array]:
    """Yield batches of pairs with similar coarse grids, shape (pairs, 2).

    Args:
        coarse: standardized grids, shape (photos, 64).
    """
    if len(coarse) > MAX_EXHAUSTIVE_IMAGES:
        for pairs in iter_hash_collisions(compute_hashes(coarse)):
            similarity = (coarse[pairs[:, 0]] * coarse[pairs[:, 1]]).sum(axis=1)
            yield pairs[similarity >= MIN_COARSE_CORRELATION]
        return
    for start in range(0, len(coarse), BLOCK_IMAGES):
        similarity = coarse[start : start + BLOCK_IMAGES] @ coarse[start:].T
        yield start + np.argwhere(np.triu(similarity >= MIN_COARSE_CORRELATION, 1))


def compute_hashes(coarse: Array) -> Array:
    """A 64-bit hash of each photo: the sides of 64 random hyperplanes on which it lies.

    Two photos of correlation c differ in a fraction arccos(c) / pi of the bits: 3 of 64 for 0.99
    (Charikar, *Similarity Estimation Techniques from Rounding Algorithms*, STOC 2002).
    """
    planes = np.random.default_rng(0).normal(size=(coarse.shape[1], HASH_BITS)).astype(np.float32)
    hash_values = np.zeros(len(coarse), dtype=np.uint64)
    for start in range(0, len(coarse), BATCH_ITEMS):
        bits = coarse[start : start + BATCH_ITEMS] @ planes > 0
        hash_values[start : start + BATCH_ITEMS] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return hash_values


def iter_hash_collisions(hash_values: Array) -> Iterator[Array]:
    """Yield batches of pairs that share a bucket of a hash table, shape (pairs, 2).

    Each of 20 tables uses 22 of the bits; 98 of 100 pairs of correlation 0.993 share a bucket of at
    least one table. In a bucket, each photo is paired with the next 999 in the order of hashes.
    """
    # Another seed than that of the hyperplanes, so that bits and planes are independent.
    rng = np.random.default_rng(1)
    for _ in range(N_HASH_TABLES):
        bits = rng.choice(HASH_BITS, KEY_BITS, replace=False).astype(np.uint64)
        keys = hash_values & np.bitwise_or.reduce(np.uint64(1) << bits)
        order = np.lexsort((hash_values, keys))
        keys = keys[order]
        active = np.arange(len(keys))
        for offset in range(1, MAX_BUCKET_IMAGES):
            active = active[active + offset < len(keys)]
            active = active[keys[active] == keys[active + offset]]
            if not len(active):
                break
            for start in range(0, len(active), BATCH_ITEMS):
                batch = active[start : start + BATCH_ITEMS]
                yield np.sort(np.stack([order[batch], order[batch + offset]], axis=1), axis=1)


def average_gray_cells(pixels: Array) -> Array:
    """Mean gray values of an 8 x 8 grid, shape (photos, 64)."""
    cell_size = pixels.shape[1] // COARSE_GRID_CELLS
    gray = pixels.mean(axis=-1, dtype=np.float32)
    cells = gray.reshape(len(pixels), COARSE_GRID_CELLS, cell_size, COARSE_GRID_CELLS, cell_size)
    return np.asarray(cells.mean(axis=(2, 4)).reshape(-1, COARSE_GRID_CELLS**2))


def standardize_rows(values: Array) -> Array:
    """Scale rows to mean 0 and length 1, so that their dot products are correlations."""
    centered = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-6))


def compute_correlations(pixels: Array, left_indices: Array, right_indices: Array) -> Array:
    """Correlation of all pixels of pairs of photos, shape (pairs,)."""
    correlation = np.zeros(len(left_indices))
    for start in range(0, len(left_indices), BLOCK_IMAGES):
        block = slice(start, start + BLOCK_IMAGES)
        left, right = (
            standardize_rows(
                pixels[indices[block]].reshape(len(indices[block]), -1).astype(np.float32)
            )
            for indices in (left_indices, right_indices)
        )
        correlation[block] = (left * right).sum(axis=1)
    return correlation
