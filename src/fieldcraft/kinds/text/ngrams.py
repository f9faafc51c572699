"""Split texts into words, and words into hashed character n-grams, equally on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fieldcraft.core.types import Array

# On 20 Newsgroups 5,000 characters gave .8692 accuracy, 2,000 gave .8679 and 20,000 gave .8676, in
# 55, 45 and 62 seconds (docs/log.md). Differences in accuracy are within the noise.
MAX_CHARACTERS = 5_000
# A word is a run of at most 24 letters and digits (longer runs are cut), one Chinese character, or
# one other visible character, such as an exclamation mark or an emoji.
WORD_PATTERN = r"\p{Han}|[[\p{L}\p{M}\p{N}]--\p{Han}]{1,24}|[^\s\p{L}\p{M}\p{N}\p{C}]"
# Word boundaries count as characters. Banking77: from 2 characters .9071, from 3 .9062.
NGRAM_LENGTHS = (2, 3, 4, 5)
BUCKET_BITS = 18  # Banking77: .9062 with 2**18 buckets, .9055 with 2**15
N_BUCKETS = 1 << BUCKET_BITS
# FNV-1a, 32 bits; the multiplier is that of the finalizer of MurmurHash3. Buckets are stored in
# bundles: these constants must never change.
FNV_OFFSET, FNV_PRIME, MURMUR_MULTIPLIER = (
    np.uint32(2_166_136_261),
    np.uint32(16_777_619),
    np.uint32(0x85EBCA6B),
)


@dataclass(frozen=True)
class TermCounts:
    """Term counts of texts: words in order of first use, then pairs of neighboring words.

    Attributes:
        text_lengths: characters of each text, NaN where it is missing.
        word_counts: words of each text.
        text_index: index of the text of each entry, non-decreasing.
        term_index: index of the entry's term in `terms`.
        term_frequency: count of the term in the text.
        terms: the distinct words, then the distinct pairs, joined by a space.
    """

    text_lengths: Array
    word_counts: Array
    text_index: Array
    term_index: Array
    term_frequency: Array
    terms: list[str]

    @cached_property
    def ngrams(self) -> tuple[Array, Array, Array]:
        """The hashed n-grams of the terms: see `hash_ngrams`."""
        return hash_ngrams(self.terms)


def count_terms(texts: pl.Series) -> TermCounts:
    """Count the lower-cased words and word pairs of texts; a missing text has none."""
    cell = pl.col("cell").cast(pl.String)
    lowered = cell.str.slice(0, MAX_CHARACTERS).str.to_lowercase()
    words_expr = lowered.str.extract_all(WORD_PATTERN).alias("words")
    extracted = (
        texts.alias("cell").to_frame().select(cell.str.len_chars().cast(pl.Float64), words_expr)
    )
    word_lists = [words or () for words in extracted["words"].to_list()]
    index_by_word: dict[str, int] = {}
    word_index = np.array(
        [
            index_by_word.setdefault(word, len(index_by_word))
            for words in word_lists
            for word in words
        ],
        dtype=np.int64,
    )
    word_counts = np.array([len(words) for words in word_lists], dtype=np.int64)
    text_index = np.repeat(np.arange(len(word_lists)), word_counts)
    bigram_text, bigram_index, bigrams = find_bigrams(text_index, word_index, list(index_by_word))
    order = np.argsort(np.concatenate([text_index, bigram_text]), kind="stable")
    text_index = np.concatenate([text_index, bigram_text])[order]
    term_index = np.concatenate([word_index, bigram_index])[order]
    terms = [*index_by_word, *bigrams]
    # One integer per (text, term) counts both at once. Entries stay in the order of first use, so
    # that sums of floats over the terms of a text do not depend on the other texts.
    codes = text_index * max(len(terms), 1) + term_index
    _, first, term_frequency = np.unique(codes, return_index=True, return_counts=True)
    order = np.argsort(first)
    first_positions = first[order]
    return TermCounts(
        extracted["cell"].to_numpy(),
        word_counts,
        text_index[first_positions],
        term_index[first_positions],
        term_frequency[order],
        terms,
    )


def find_bigrams(
    text_index: Array, word_index: Array, words: Sequence[str]
) -> tuple[Array, Array, list[str]]:
    """Find the pairs of neighboring words of each text.

    Args:
        text_index: index of the text of each word, non-decreasing.
        word_index: index of each word in `words`.
        words: the distinct words.

    Returns:
        For each pair the index of its text and its own index, which continues that of `words`;
        and the distinct pairs.
    """
    is_same_text = text_index[1:] == text_index[:-1]
    codes = (word_index[:-1] * max(len(words), 1) + word_index[1:])[is_same_text]
    unique_codes, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)  # the order of first use, as for words
    bigrams = [
        " ".join(words[i] for i in divmod(int(code), len(words))) for code in unique_codes[order]
    ]
    return text_index[1:][is_same_text], len(words) + np.argsort(order)[inverse], bigrams


def hash_ngrams(words: Sequence[str]) -> tuple[Array, Array, Array]:
    """Hash the character n-grams of words (2 to 5 characters) and each word as a whole.

    A pair of words, which contains a space, is hashed as a whole only. Hashes are FNV-1a over code
    points, finalized as in MurmurHash3.

    Returns:
        For each n-gram the index of its word (non-decreasing), its bucket, and whether it is a
        whole word.
    """
    if not words:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool)
    code_points, lengths = to_code_points(words)
    term_indices, hashes = [np.arange(len(words))], [hash_whole_words(code_points, lengths)]
    single_words = np.flatnonzero([" " not in word for word in words])
    code_points, lengths = code_points[single_words], lengths[single_words]
    code_points = code_points[:, : int(lengths.max(initial=0))]
    # Vectorized over words and start positions; loops over n-grams are slow in Python.
    for length in NGRAM_LENGTHS:
        n_starts = code_points.shape[1] - length + 1
        if n_starts < 1:
            break
        # The length enters the hash, so that an n-gram and a whole word of the same characters
        # fall into different buckets.
        ngram_hashes = np.full(
            (len(single_words), n_starts), FNV_OFFSET ^ np.uint32(length), np.uint32
        )
        for k in range(length):
            ngram_hashes = (ngram_hashes ^ code_points[:, k : k + n_starts]) * FNV_PRIME
        term_index, start = np.nonzero(np.arange(n_starts) <= (lengths - length)[:, None])
        term_indices.append(single_words[term_index])
        hashes.append(ngram_hashes[term_index, start])
    term_index, mixed_hashes = np.concatenate(term_indices), np.concatenate(hashes)
    # The last characters hardly change the high bits of FNV-1a, and buckets are the high bits.
    mixed_hashes ^= mixed_hashes >> np.uint32(16)
    mixed_hashes *= MURMUR_MULTIPLIER
    mixed_hashes ^= mixed_hashes >> np.uint32(13)
    order = np.argsort(term_index, kind="stable")
    buckets = (mixed_hashes >> np.uint32(32 - BUCKET_BITS)).astype(np.int64)
    return term_index[order], buckets[order], order < len(words)


def to_code_points(words: Sequence[str]) -> tuple[Array, Array]:
    """Return code points of words with boundary marks, zero-padded, and the length of each."""
    # STX and ETX mark the boundaries: `WORD_PATTERN` excludes control characters from words.
    bounded = np.array([f"\x02{word}\x03" for word in words])
    code_points = bounded.view(np.uint32).reshape(len(words), -1)
    return code_points, (code_points > 0).sum(axis=1)


def hash_whole_words(code_points: Array, lengths: Array) -> Array:
    """Hash each word, given as zero-padded code points."""
    hashes = np.full(len(code_points), FNV_OFFSET, np.uint32)
    for k in range(code_points.shape[1]):
        hashes = np.where(k < lengths, (hashes ^ code_points[:, k]) * FNV_PRIME, hashes)
    return hashes
