"""Cut texts into words, and words into hashed parts that are the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fieldcraft.contracts import Array

MOST_CHARACTERS = 5_000  # of a text that are read; what comes after does not count
# A word is a run of letters and digits (a longer run is cut), one Chinese sign, or any other
# sign that is no blank: an exclamation mark, a face.
WORD = r"\p{Han}|[[\p{L}\p{M}\p{N}]--\p{Han}]{1,24}|[^\s\p{L}\p{M}\p{N}\p{C}]"
LENGTHS = (2, 3, 4, 5)  # of the parts of a word, its bounds counted
BITS = 18
BUCKETS = 1 << BITS
OFFSET, PRIME, MIX = np.uint32(2_166_136_261), np.uint32(16_777_619), np.uint32(0x85EBCA6B)


@dataclass(frozen=True)
class Words:
    """The words of some texts, in the order in which each text first says them, then its pairs.

    Attributes:
        lengths: characters of each text, NaN where there is none.
        spoken: words of each text.
        text: number of the text of each entry, not decreasing.
        word: number of its word, or pair of neighbouring words, in the list.
        times: how often the text says it.
        spelt: all different words, and pairs with a blank between.
    """

    lengths: Array
    spoken: Array
    text: Array
    word: Array
    times: Array
    spelt: list[str]

    @cached_property
    def parts(self) -> tuple[Array, Array, Array]:
        """The hashed parts of the words, from `parts_of`."""
        return parts_of(self.spelt)


def words_of(texts: pl.Series) -> Words:
    """The lower-cased words of texts; a missing text has none."""
    cell = pl.col("cell").cast(pl.String)
    cut = cell.str.slice(0, MOST_CHARACTERS).str.to_lowercase()
    said = cut.str.extract_all(WORD).alias("said")
    read = texts.alias("cell").to_frame().select(cell.str.len_chars().cast(pl.Float64), said)
    lists = [words or () for words in read["said"].to_list()]
    number: dict[str, int] = {}
    word = np.array(
        [number.setdefault(word, len(number)) for words in lists for word in words], dtype=np.int64
    )
    spoken = np.array([len(words) for words in lists], dtype=np.int64)
    text = np.repeat(np.arange(len(lists)), spoken)
    within, pair, names = pairs_of(text, word, list(number))
    order = np.argsort(np.concatenate([text, within]), kind="stable")
    text = np.concatenate([text, within])[order]
    word = np.concatenate([word, pair])[order]
    spelt = [*number, *names]
    _, first, times = np.unique(text * max(len(spelt), 1) + word, return_index=True,
                                return_counts=True)  # fmt: skip
    order = np.argsort(first)
    kept = first[order]
    return Words(read["cell"].to_numpy(), spoken, text[kept], word[kept], times[order], spelt)


def pairs_of(text: Array, word: Array, spelt: Sequence[str]) -> tuple[Array, Array, list[str]]:
    """Neighbouring words of one text.

    Args:
        text: number of the text of each word, in the order of the texts.
        word: number of the word.
        spelt: the words.

    Returns:
        For each pair its text and its number, counted on from the words; and all different pairs.
    """
    beside = text[1:] == text[:-1]
    codes = (word[:-1] * max(len(spelt), 1) + word[1:])[beside]
    found, first, place = np.unique(codes, return_index=True, return_inverse=True)
    order = np.argsort(first)  # as they are first said, like words
    names = [" ".join(spelt[i] for i in divmod(int(code), len(spelt))) for code in found[order]]
    return text[1:][beside], len(spelt) + np.argsort(order)[place], names


def parts_of(words: Sequence[str]) -> tuple[Array, Array, Array]:
    """The hashed parts of words: runs of two to five characters, and each word as a whole.

    A pair of words, which has a blank in it, has no part but the whole.

    Returns:
        For each part the number of its word (not decreasing), its bucket, and whether it is a
        whole word. Hashes are FNV-1a over code points, mixed as in MurmurHash3.
    """
    if not words:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool)
    points, sizes = points_of(words)
    owners, hashes = [np.arange(len(words))], [whole_hashes(points, sizes)]
    single = np.flatnonzero([" " not in word for word in words])
    points, sizes = points[single], sizes[single]
    points = points[:, : int(sizes.max(initial=0))]
    for length in LENGTHS:
        starts = points.shape[1] - length + 1
        if starts < 1:
            break
        found = np.full((len(single), starts), OFFSET ^ np.uint32(length), np.uint32)
        for k in range(length):
            found = (found ^ points[:, k : k + starts]) * PRIME
        owner, start = np.nonzero(np.arange(starts) <= (sizes - length)[:, None])
        owners.append(single[owner])
        hashes.append(found[owner, start])
    owner, mixed = np.concatenate(owners), np.concatenate(hashes)
    mixed ^= mixed >> np.uint32(16)
    mixed *= MIX
    mixed ^= mixed >> np.uint32(13)
    order = np.argsort(owner, kind="stable")
    buckets = (mixed >> np.uint32(32 - BITS)).astype(np.int64)
    return owner[order], buckets[order], order < len(words)


def points_of(words: Sequence[str]) -> tuple[Array, Array]:
    """Code points of words between their bounds, zeros behind, and how many each word has."""
    bounded = np.array([f"\x02{word}\x03" for word in words])
    points = bounded.view(np.uint32).reshape(len(words), -1)
    return points, (points > 0).sum(axis=1)


def whole_hashes(points: Array, sizes: Array) -> Array:
    """One hash for each word, given as code points of which only the first ones count."""
    found = np.full(len(points), OFFSET, np.uint32)
    for k in range(points.shape[1]):
        found = np.where(k < sizes, (found ^ points[:, k]) * PRIME, found)
    return found
