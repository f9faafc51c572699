"""Find near-duplicate texts by MinHash and locality-sensitive hashing.

Broder, *On the resemblance and containment of documents*, 1997 (shingles, resemblance, MinHash);
Indyk & Motwani, *Approximate nearest neighbors*, 1998 (locality-sensitive hashing).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import polars as pl

from fieldcraft.core.types import Array
from fieldcraft.kinds.text.ngrams import hash_whole_words, to_code_points

# A changed word changes three shingles: texts of n words that differ in one share n - 1 of n + 2,
# which is J = (n - 1) / (n + 5), and are near from 25 words on (20 if a word is only appended).
SHINGLE_WORDS = 3
MIN_JACCARD = 0.8
# A pair agrees in a band of 4 hashes with probability J**4 and is missed by all 16 bands with
# (1 - J**4)**16: one in 5,000 at J = 0.8, and 88 % at J = 0.3.
N_BANDS, ROWS_PER_BAND = 16, 4
# Four standard errors of J estimated from 64 hashes: sqrt(0.8 * 0.2 / 64) = 0.05.
ESTIMATE_MARGIN = 0.2
BLOCK_SIZE = 4_000  # texts or pairs at a time, to bound memory
MAX_WORD_LETTERS = 24
HASH_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio (Knuth, Fibonacci hashing)
# With padding, the first and the last word are in three shingles too, like all others.
PADDING_WORDS = ("\x02 \x02 ", " \x03 \x03")


def find_near_pairs(words: pl.Series) -> Array:
    """Find pairs of distinct texts with a Jaccard similarity of at least 0.8.

    Of a group of similar texts not all pairs are returned, only enough to connect the group.

    Args:
        words: texts from `normalize_words`.

    Returns:
        Indices of texts, shape (pairs, 2).
    """
    # Three filters, each slower and more exact: equal bands, the estimate of J from all 64 hashes,
    # and J itself from the sets of shingles.
    signatures = minhash_signatures(words)
    pairs = candidate_pairs(signatures)
    estimated_jaccard = np.empty(len(pairs))
    for start in range(0, len(pairs), BLOCK_SIZE):
        first, second = pairs[start : start + BLOCK_SIZE].T
        estimated_jaccard[start : start + BLOCK_SIZE] = (
            signatures[first] == signatures[second]
        ).mean(axis=1)
    pairs = pairs[estimated_jaccard >= MIN_JACCARD - ESTIMATE_MARGIN]
    is_near = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), BLOCK_SIZE):
        block = pairs[start : start + BLOCK_SIZE]
        is_near[start : start + BLOCK_SIZE] = jaccard_similarity(words, block) >= MIN_JACCARD
    return pairs[is_near]


def minhash_signatures(words: pl.Series) -> Array:
    """Compute the minimum of each of 64 hashes of a text's shingles, shape (texts, 64)."""
    # Multiply-shift hashing with odd factors stands for random permutations of the shingles.
    rng = np.random.default_rng(0)
    factors = rng.integers(1 << 63, size=N_BANDS * ROWS_PER_BAND, dtype=np.uint64) * 2 + 1
    offsets = rng.integers(1 << 63, size=N_BANDS * ROWS_PER_BAND, dtype=np.uint64)
    signatures = np.zeros((len(words), N_BANDS * ROWS_PER_BAND), dtype=np.uint32)
    for start in range(0, len(words), BLOCK_SIZE):
        hashes, text_index = hash_shingles(words.slice(start, BLOCK_SIZE))
        text_starts = np.flatnonzero(np.diff(text_index, prepend=-1))
        for hash_index, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
            permuted = ((hashes * factor + offset) >> np.uint64(32)).astype(np.uint32)
            signatures[start : start + BLOCK_SIZE, hash_index] = np.minimum.reduceat(
                permuted, text_starts
            )
    return signatures


def hash_shingles(words: pl.Series) -> tuple[Array, Array]:
    """Hash each run of three words; return the hashes and their text indices, non-decreasing."""
    lists = (PADDING_WORDS[0] + words + PADDING_WORDS[1]).str.split(" ")
    all_words = lists.explode()
    distinct_words = all_words.unique(maintain_order=True)
    points, sizes = to_code_points(distinct_words.str.slice(0, MAX_WORD_LETTERS).to_list() or [""])
    hash_by_word = hash_whole_words(points, sizes).astype(np.uint64)
    word_hashes = hash_by_word[all_words.cast(pl.Enum(distinct_words)).to_physical().to_numpy()]
    text_index = np.repeat(np.arange(len(words)), lists.list.len().to_numpy())
    count = max(len(word_hashes) - SHINGLE_WORDS + 1, 0)
    shingle_hashes = combine_hashes([word_hashes[k : k + count] for k in range(SHINGLE_WORDS)])
    # Texts are hashed as one long list of words: shingles across two texts are dropped.
    is_within_text = text_index[:count] == text_index[SHINGLE_WORDS - 1 :]
    return shingle_hashes[is_within_text], text_index[:count][is_within_text]


def combine_hashes(parts: Iterable[Array]) -> Array:
    """Combine arrays of hashes elementwise into one; the order of the arrays matters."""
    combined: Array | None = None
    for part in parts:
        combined = (
            part * HASH_MULTIPLIER if combined is None else (combined ^ part) * HASH_MULTIPLIER
        )
        combined ^= combined >> np.uint64(29)
    return np.zeros(0, dtype=np.uint64) if combined is None else combined


def candidate_pairs(signatures: Array) -> Array:
    """Return pairs of texts that agree in a band: each with its predecessor and the first."""
    # All pairs of n equal texts would be n * (n - 1) / 2. With two partners for each text, a group
    # stays connected even where one of the pairs turns out not to be near.
    pair_blocks = [np.zeros((0, 2), dtype=np.int64)]
    for band in range(N_BANDS):
        bucket = combine_hashes(
            signatures[:, band * ROWS_PER_BAND : (band + 1) * ROWS_PER_BAND].astype(np.uint64).T
        )
        order = np.argsort(bucket, kind="stable")
        bucket = bucket[order]
        repeated = np.flatnonzero(bucket[1:] == bucket[:-1]) + 1
        first_in_bucket = np.searchsorted(bucket, bucket[repeated])
        pair_blocks += [
            order[np.stack([partner, repeated], axis=1)]
            for partner in (repeated - 1, first_in_bucket)
        ]
    return np.unique(np.concatenate(pair_blocks), axis=0)


def jaccard_similarity(words: pl.Series, pairs: Array) -> Array:
    """Compute the Jaccard similarity of the shingle sets of each pair."""
    distinct_texts, pair_positions = np.unique(pairs, return_inverse=True)
    sides: Array = pair_positions.reshape(pairs.shape)
    hashes, text_index = hash_shingles(words[distinct_texts.tolist()])
    offsets = np.searchsorted(text_index, np.arange(len(distinct_texts) + 1))
    sets = [np.unique(hashes[a:b]) for a, b in pairwise(offsets)]
    common = np.array(
        [len(np.intersect1d(sets[a], sets[b], assume_unique=True)) for a, b in sides.tolist()]
    )
    sizes = np.array([len(shingle_set) for shingle_set in sets])[sides].sum(axis=1)
    return np.asarray(common / np.maximum(sizes - common, 1))
