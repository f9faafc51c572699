"""Find texts that are nearly the same without comparing each with every other.

Broder, *On the resemblance and containment of documents*, 1997 (shingles, resemblance, MinHash);
Indyk & Motwani, *Approximate nearest neighbors*, 1998 (locality-sensitive hashing).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import polars as pl

from fieldcraft.contracts import Array
from fieldcraft.kinds.text.words import points_of, whole_hashes

SHINGLE = 3  # words; in a text of fewer than some 20 words no other one can be near
ALIKE = 0.8  # resemblance: common shingles of two texts, of all that they have
BANDS, DEEP = 16, 4  # at a resemblance of 0.8 one pair in 5,000 is missed
MARGIN = 0.2  # four standard errors of a resemblance estimated from 64 hashes
BLOCK = 4_000  # texts, or pairs, at a time
LONGEST = 24  # letters of a word that count
ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 by the golden ratio
BOUNDS = "\x02 \x02 ", " \x03 \x03"  # so that the words at the ends stand in three shingles too


def near_pairs(words: pl.Series) -> Array:
    """Pairs of different texts with a resemblance of at least 0.8, in one chain at the least.

    Of many texts that are all alike, enough pairs are given to tie them together, not all.

    Args:
        words: texts as words with one blank between, from `plain`.

    Returns:
        Numbers of texts, shape (pairs, 2).
    """
    signatures = signatures_of(words)
    pairs = candidates(signatures)
    agree = np.empty(len(pairs))
    for start in range(0, len(pairs), BLOCK):
        one, two = pairs[start : start + BLOCK].T
        agree[start : start + BLOCK] = (signatures[one] == signatures[two]).mean(axis=1)
    pairs = pairs[agree >= ALIKE - MARGIN]
    sure = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), BLOCK):
        some = pairs[start : start + BLOCK]
        sure[start : start + BLOCK] = resemblance(words, some) >= ALIKE
    return pairs[sure]


def signatures_of(words: pl.Series) -> Array:
    """The smallest of each of 64 hashes of a text's shingles, shape (texts, 64)."""
    draw = np.random.default_rng(0)
    factors = draw.integers(1 << 63, size=BANDS * DEEP, dtype=np.uint64) * 2 + 1
    offsets = draw.integers(1 << 63, size=BANDS * DEEP, dtype=np.uint64)
    found = np.zeros((len(words), BANDS * DEEP), dtype=np.uint32)
    for begin in range(0, len(words), BLOCK):
        hashes, text = shingles(words.slice(begin, BLOCK))
        starts = np.flatnonzero(np.diff(text, prepend=-1))
        for k, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            mixed = ((hashes * factor + offset) >> np.uint64(32)).astype(np.uint32)
            found[begin : begin + BLOCK, k] = np.minimum.reduceat(mixed, starts)
    return found


def shingles(words: pl.Series) -> tuple[Array, Array]:
    """A hash for each run of three words, and the number of its text, which does not decrease."""
    lists = (BOUNDS[0] + words + BOUNDS[1]).str.split(" ")
    spoken = lists.explode()
    different = spoken.unique(maintain_order=True)
    points, sizes = points_of(different.str.slice(0, LONGEST).to_list() or [""])
    known = whole_hashes(points, sizes).astype(np.uint64)
    said = known[spoken.cast(pl.Enum(different)).to_physical().to_numpy()]
    text = np.repeat(np.arange(len(words)), lists.list.len().to_numpy())
    count = max(len(said) - SHINGLE + 1, 0)
    mixed = mixed_up([said[k : k + count] for k in range(SHINGLE)])
    whole = text[:count] == text[SHINGLE - 1 :]
    return mixed[whole], text[:count][whole]


def mixed_up(parts: Iterable[Array]) -> Array:
    """One hash for the numbers that stand at the same place, their order counted."""
    mixed: Array | None = None
    for part in parts:
        mixed = part * ODD if mixed is None else (mixed ^ part) * ODD
        mixed ^= mixed >> np.uint64(29)
    return np.zeros(0, dtype=np.uint64) if mixed is None else mixed


def candidates(signatures: Array) -> Array:
    """Pairs of texts that agree in a whole band: each with its neighbour and with the first."""
    found = [np.zeros((0, 2), dtype=np.int64)]
    for band in range(BANDS):
        bucket = mixed_up(signatures[:, band * DEEP : (band + 1) * DEEP].astype(np.uint64).T)
        order = np.argsort(bucket, kind="stable")
        bucket = bucket[order]
        again = np.flatnonzero(bucket[1:] == bucket[:-1]) + 1
        first = np.searchsorted(bucket, bucket[again])
        found += [order[np.stack([other, again], axis=1)] for other in (again - 1, first)]
    return np.unique(np.concatenate(found), axis=0)


def resemblance(words: pl.Series, pairs: Array) -> Array:
    """The share of common shingles among all that the two texts of each pair have."""
    different, place = np.unique(pairs, return_inverse=True)
    sides: Array = place.reshape(pairs.shape)
    hashes, text = shingles(words[different.tolist()])
    ends = np.searchsorted(text, np.arange(len(different) + 1))
    sets = [np.unique(hashes[a:b]) for a, b in pairwise(ends)]
    common = np.array(
        [len(np.intersect1d(sets[a], sets[b], assume_unique=True)) for a, b in sides.tolist()]
    )
    sizes = np.array([len(found) for found in sets])[sides].sum(axis=1)
    return np.asarray(common / np.maximum(sizes - common, 1))
