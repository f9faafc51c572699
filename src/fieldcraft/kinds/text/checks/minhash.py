"""Find texts that are nearly the same without comparing each with every other.

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

SHINGLE_WORDS = 3  # words; in a text of fewer than some 20 words no other one can be near
MIN_JACCARD = 0.8  # resemblance: common shingles of two texts, of all that they have
N_BANDS, ROWS_PER_BAND = 16, 4  # at a resemblance of 0.8 one pair in 5,000 is missed
ESTIMATE_MARGIN = 0.2  # four standard errors of a resemblance estimated from 64 hashes
BLOCK_SIZE = 4_000  # texts, or pairs, at a time
MAX_WORD_LETTERS = 24  # letters of a word that count
HASH_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 by the golden ratio
PADDING_WORDS = (
    "\x02 \x02 ",
    " \x03 \x03",
)  # so that the words at the ends stand in three shingles too


def find_near_pairs(words: pl.Series) -> Array:
    """Pairs of different texts with a resemblance of at least 0.8, in one chain at the least.

    Of many texts that are all alike, enough pairs are given to tie them together, not all.

    Args:
        words: texts as words with one blank between, from `plain`.

    Returns:
        Numbers of texts, shape (pairs, 2).
    """
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
    """The smallest of each of 64 hashes of a text's shingles, shape (texts, 64)."""
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
    """A hash for each run of three words, and the number of its text, which does not decrease."""
    lists = (PADDING_WORDS[0] + words + PADDING_WORDS[1]).str.split(" ")
    all_words = lists.explode()
    distinct_words = all_words.unique(maintain_order=True)
    points, sizes = to_code_points(distinct_words.str.slice(0, MAX_WORD_LETTERS).to_list() or [""])
    hash_by_word = hash_whole_words(points, sizes).astype(np.uint64)
    word_hashes = hash_by_word[all_words.cast(pl.Enum(distinct_words)).to_physical().to_numpy()]
    text_index = np.repeat(np.arange(len(words)), lists.list.len().to_numpy())
    count = max(len(word_hashes) - SHINGLE_WORDS + 1, 0)
    shingle_hashes = combine_hashes([word_hashes[k : k + count] for k in range(SHINGLE_WORDS)])
    is_within_text = text_index[:count] == text_index[SHINGLE_WORDS - 1 :]
    return shingle_hashes[is_within_text], text_index[:count][is_within_text]


def combine_hashes(parts: Iterable[Array]) -> Array:
    """One hash for the numbers that stand at the same place, their order counted."""
    combined: Array | None = None
    for part in parts:
        combined = (
            part * HASH_MULTIPLIER if combined is None else (combined ^ part) * HASH_MULTIPLIER
        )
        combined ^= combined >> np.uint64(29)
    return np.zeros(0, dtype=np.uint64) if combined is None else combined


def candidate_pairs(signatures: Array) -> Array:
    """Pairs of texts that agree in a whole band: each with its neighbour and with the first."""
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
    """The share of common shingles among all that the two texts of each pair have."""
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
