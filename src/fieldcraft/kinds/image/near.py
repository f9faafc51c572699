"""Find photos that look nearly the same, whatever their size, form or small changes of light."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from fieldcraft.contracts import Array
from fieldcraft.evidence.ties import tied_groups
from fieldcraft.kinds.image.store import store_for

SIDE = 32  # of the squares that are compared
NOTHING = np.zeros(3, dtype=np.uint8)
COARSE, SEEDS = 8, 0.99  # fields a side of the first look, and how alike two must be there
ALIKE = 0.985  # correlation of all pixels of two photos that are nearly the same
FLAT = 4.0  # spread of the pixels, of 255, below which a photo shows too little to compare
BLOCK = 512  # photos compared at once with all
MANY = 20_000  # photos up to which each is compared with each; of more, those of like hashes
MOST_PAIRS = 200_000  # beyond that photos are of one sort, such as scans of one form
HASH = 64  # bits
TABLES, KEY = 20, 22  # ways to put photos into buckets, each by so many bits of their hashes
BUCKET = 1_000  # photos of a bucket with which one is compared
AT_ONCE = 1 << 15  # photos or pairs that are worked on together


def alike_rows(addresses: pl.Series) -> list[Array]:
    """Groups of rows whose photos look nearly the same, largest first."""
    found = addresses.to_list()
    there = [row for row, address in enumerate(found) if address is not None]
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
    told, coarse = first_look(pixels)
    alike = [np.zeros((0, 2), dtype=np.int64)]
    seen = 0
    for likely in likely_pairs(coarse):
        if seen > MOST_PAIRS:
            return tied_groups(len(pixels), np.concatenate(alike)), False
        pairs = told[likely]
        alike.append(pairs[correlations(pixels, *pairs.T) >= ALIKE])
        seen += len(pairs)
    return tied_groups(len(pixels), np.concatenate(alike)), True


def first_look(pixels: Array) -> tuple[Array, Array]:
    """The numbers of the photos that show something, and these as coarse squares in grey."""
    told, coarse = [np.zeros(0, dtype=np.int64)], [np.zeros((0, COARSE**2), dtype=np.float32)]
    for start in range(0, len(pixels), BLOCK):
        part = np.asarray(pixels[start : start + BLOCK])
        shows = part.reshape(len(part), -1).std(axis=1) >= FLAT
        told.append(start + np.flatnonzero(shows))
        coarse.append(standardised(fields(part[shows])))
    return np.concatenate(told), np.concatenate(coarse)


def likely_pairs(coarse: Array) -> Iterator[Array]:
    """Pairs of photos that look alike at first, some at a time.

    Args:
        coarse: their standardised fields, shape (photos, 64).
    """
    if len(coarse) > MANY:
        for pairs in hashed_pairs(hashes(coarse)):
            likeness = (coarse[pairs[:, 0]] * coarse[pairs[:, 1]]).sum(axis=1)
            yield pairs[likeness >= SEEDS]
        return
    for start in range(0, len(coarse), BLOCK):
        likeness = coarse[start : start + BLOCK] @ coarse[start:].T
        yield start + np.argwhere(np.triu(likeness >= SEEDS, 1))


def hashes(coarse: Array) -> Array:
    """A hash of 64 bits of each photo: on which side of 64 planes of chance it lies.

    Two photos of correlation c differ in a share of arccos(c) / pi of the bits: 3 of 64 for 0.99
    (Charikar, *Similarity Estimation Techniques from Rounding Algorithms*, STOC 2002).
    """
    planes = np.random.default_rng(0).normal(size=(coarse.shape[1], HASH)).astype(np.float32)
    found = np.zeros(len(coarse), dtype=np.uint64)
    for start in range(0, len(coarse), AT_ONCE):
        bits = coarse[start : start + AT_ONCE] @ planes > 0
        found[start : start + AT_ONCE] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return found


def hashed_pairs(found: Array) -> Iterator[Array]:
    """Pairs of photos that some bits of their hashes put into one bucket, some at a time.

    Each of 20 tables sorts photos by 22 of the bits; 98 of 100 pairs of correlation 0.993 meet in
    one of them. In a bucket, each is compared with the next 1,000 in the order of hashes.
    """
    draw = np.random.default_rng(1)
    for _ in range(TABLES):
        bits = draw.choice(HASH, KEY, replace=False).astype(np.uint64)
        keys = found & np.bitwise_or.reduce(np.uint64(1) << bits)
        order = np.lexsort((found, keys))
        keys = keys[order]
        active = np.arange(len(keys))
        for step in range(1, BUCKET):
            active = active[active + step < len(keys)]
            active = active[keys[active] == keys[active + step]]
            if not len(active):
                break
            for start in range(0, len(active), AT_ONCE):
                part = active[start : start + AT_ONCE]
                yield np.sort(np.stack([order[part], order[part + step]], axis=1), axis=1)


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
