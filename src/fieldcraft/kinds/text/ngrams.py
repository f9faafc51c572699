"""Cut texts into words, and words into hashed parts that are the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fieldcraft.core.types import Array

MAX_CHARACTERS = 5_000  # of a text that are read; what comes after does not count
# A word is a run of letters and digits (a longer run is cut), one Chinese sign, or any other
# sign that is no blank: an exclamation mark, a face.
WORD_PATTERN = r"\p{Han}|[[\p{L}\p{M}\p{N}]--\p{Han}]{1,24}|[^\s\p{L}\p{M}\p{N}\p{C}]"
NGRAM_LENGTHS = (2, 3, 4, 5)  # of the parts of a word, its bounds counted
BUCKET_BITS = 18
N_BUCKETS = 1 << BUCKET_BITS
FNV_OFFSET, FNV_PRIME, MURMUR_MULTIPLIER = (
    np.uint32(2_166_136_261),
    np.uint32(16_777_619),
    np.uint32(0x85EBCA6B),
)


@dataclass(frozen=True)
class TermCounts:
    """The words of some texts, in the order in which each text first says them, then its pairs.

    Attributes:
        text_lengths: characters of each text, NaN where there is none.
        word_counts: words of each text.
        text_index: number of the text of each entry, not decreasing.
        term_index: number of its word, or pair of neighbouring words, in the list.
        term_frequency: how often the text says it.
        terms: all different words, and pairs with a blank between.
    """

    text_lengths: Array
    word_counts: Array
    text_index: Array
    term_index: Array
    term_frequency: Array
    terms: list[str]

    @cached_property
    def ngrams(self) -> tuple[Array, Array, Array]:
        """The hashed parts of the words, from `parts_of`."""
        return hash_ngrams(self.terms)


def count_terms(texts: pl.Series) -> TermCounts:
    """The lower-cased words of texts; a missing text has none."""
    cell = pl.col("cell").cast(pl.String)
    lowered = cell.str.slice(0, MAX_CHARACTERS).str.to_lowercase()
    words_expr = lowered.str.extract_all(WORD_PATTERN).alias("said")
    extracted = (
        texts.alias("cell").to_frame().select(cell.str.len_chars().cast(pl.Float64), words_expr)
    )
    word_lists = [words or () for words in extracted["said"].to_list()]
    index_by_word: dict[str, int] = {}
    word = np.array(
        [
            index_by_word.setdefault(word, len(index_by_word))
            for words in word_lists
            for word in words
        ],
        dtype=np.int64,
    )
    word_counts = np.array([len(words) for words in word_lists], dtype=np.int64)
    text = np.repeat(np.arange(len(word_lists)), word_counts)
    bigram_text, bigram_index, bigrams = find_bigrams(text, word, list(index_by_word))
    order = np.argsort(np.concatenate([text, bigram_text]), kind="stable")
    text = np.concatenate([text, bigram_text])[order]
    word = np.concatenate([word, bigram_index])[order]
    terms = [*index_by_word, *bigrams]
    _, first, term_frequency = np.unique(text * max(len(terms), 1) + word, return_index=True,
                                return_counts=True)  # fmt: skip
    order = np.argsort(first)
    first_positions = first[order]
    return TermCounts(
        extracted["cell"].to_numpy(),
        word_counts,
        text[first_positions],
        word[first_positions],
        term_frequency[order],
        terms,
    )


def find_bigrams(
    text_index: Array, word_index: Array, words: Sequence[str]
) -> tuple[Array, Array, list[str]]:
    """Neighbouring words of one text.

    Args:
        text_index: number of the text of each word, in the order of the texts.
        word_index: number of the word.
        words: the words.

    Returns:
        For each pair its text and its number, counted on from the words; and all different pairs.
    """
    is_same_text = text_index[1:] == text_index[:-1]
    codes = (word_index[:-1] * max(len(words), 1) + word_index[1:])[is_same_text]
    unique_codes, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)  # as they are first said, like words
    bigrams = [
        " ".join(words[i] for i in divmod(int(code), len(words))) for code in unique_codes[order]
    ]
    return text_index[1:][is_same_text], len(words) + np.argsort(order)[inverse], bigrams


def hash_ngrams(words: Sequence[str]) -> tuple[Array, Array, Array]:
    """The hashed parts of words: runs of two to five characters, and each word as a whole.

    A pair of words, which has a blank in it, has no part but the whole.

    Returns:
        For each part the number of its word (not decreasing), its bucket, and whether it is a
        whole word. Hashes are FNV-1a over code points, mixed as in MurmurHash3.
    """
    if not words:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool)
    code_points, lengths = to_code_points(words)
    term_indices, hashes = [np.arange(len(words))], [hash_whole_words(code_points, lengths)]
    single_words = np.flatnonzero([" " not in word for word in words])
    code_points, lengths = code_points[single_words], lengths[single_words]
    code_points = code_points[:, : int(lengths.max(initial=0))]
    for length in NGRAM_LENGTHS:
        n_starts = code_points.shape[1] - length + 1
        if n_starts < 1:
            break
        ngram_hashes = np.full(
            (len(single_words), n_starts), FNV_OFFSET ^ np.uint32(length), np.uint32
        )
        for k in range(length):
            ngram_hashes = (ngram_hashes ^ code_points[:, k : k + n_starts]) * FNV_PRIME
        term_index, start = np.nonzero(np.arange(n_starts) <= (lengths - length)[:, None])
        term_indices.append(single_words[term_index])
        hashes.append(ngram_hashes[term_index, start])
    term_index, mixed_hashes = np.concatenate(term_indices), np.concatenate(hashes)
    mixed_hashes ^= mixed_hashes >> np.uint32(16)
    mixed_hashes *= MURMUR_MULTIPLIER
    mixed_hashes ^= mixed_hashes >> np.uint32(13)
    order = np.argsort(term_index, kind="stable")
    buckets = (mixed_hashes >> np.uint32(32 - BUCKET_BITS)).astype(np.int64)
    return term_index[order], buckets[order], order < len(words)


def to_code_points(words: Sequence[str]) -> tuple[Array, Array]:
    """Code points of words between their bounds, zeros behind, and how many each word has."""
    bounded = np.array([f"\x02{word}\x03" for word in words])
    code_points = bounded.view(np.uint32).reshape(len(words), -1)
    return code_points, (code_points > 0).sum(axis=1)


def hash_whole_words(code_points: Array, lengths: Array) -> Array:
    """One hash for each word, given as code points of which only the first ones count."""
    hashes = np.full(len(code_points), FNV_OFFSET, np.uint32)
    for k in range(code_points.shape[1]):
        hashes = np.where(k < lengths, (hashes ^ code_points[:, k]) * FNV_PRIME, hashes)
    return hashes
