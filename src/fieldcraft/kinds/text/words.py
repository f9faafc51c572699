"""Cut texts into words, and words into hashed parts that are the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fieldcraft.contracts import Array

MOST_CHARACTERS = 2_000  # of a text that are read; what comes after does not count
# A word is a run of letters and digits (a longer run is cut), one Chinese sign, or any other
# sign that is no blank: an exclamation mark, a face.
WORD = r"\p{Han}|[[\p{L}\p{M}\p{N}]--\p{Han}]{1,24}|[^\s\p{L}\p{M}\p{N}\p{C}]"
LENGTHS = (3, 4, 5)  # of the parts of a word, its bounds counted
BITS = 15
BUCKETS = 1 << BITS
OFFSET, PRIME, MIX = np.uint32(2_166_136_261), np.uint32(16_777_619), np.uint32(0x85EBCA6B)


@dataclass(frozen=True)
class Words:
    """The words of some texts, in the order in which each text first says them.

    Attributes:
        lengths: characters of each text, NaN where there is none.
        text: number of the text of each entry, not decreasing.
        word: number of its word in the list.
        times: how often the text says it.
        spelt: all different words.
    """

    lengths: Array
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
    text = np.repeat(np.arange(len(lists)), np.array([len(words) for words in lists], dtype=int))
    pairs = text * max(len(number), 1) + word
    _, first, times = np.unique(pairs, return_index=True, return_counts=True)
    order = np.argsort(first)
    kept = first[order]
    return Words(read["cell"].to_numpy(), text[kept], word[kept], times[order], list(number))


def parts_of(words: Sequence[str]) -> tuple[Array, Array, Array]:
    """The hashed parts of words: runs of three to five characters, and each word as a whole.

    Returns:
        For each part the number of its word (not decreasing), its bucket, and whether it is a
        whole word. Hashes are FNV-1a over code points, mixed as in MurmurHash3.
    """
    if not words:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool)
    bounded = np.array([f"\x02{word}\x03" for word in words])
    points = bounded.view(np.uint32).reshape(len(words), -1)
    sizes = (points > 0).sum(axis=1)
    owners, hashes = [np.arange(len(words))], [whole_hashes(points, sizes)]
    for length in LENGTHS:
        starts = points.shape[1] - length + 1
        if starts < 1:
            break
        found = np.full((len(words), starts), OFFSET ^ np.uint32(length), np.uint32)
        for k in range(length):
            found = (found ^ points[:, k : k + starts]) * PRIME
        owner, start = np.nonzero(np.arange(starts) <= (sizes - length)[:, None])
        owners.append(owner)
        hashes.append(found[owner, start])
    owner, mixed = np.concatenate(owners), np.concatenate(hashes)
    mixed ^= mixed >> np.uint32(16)
    mixed *= MIX
    mixed ^= mixed >> np.uint32(13)
    order = np.argsort(owner, kind="stable")
    buckets = (mixed >> np.uint32(32 - BITS)).astype(np.int64)
    return owner[order], buckets[order], order < len(words)


def whole_hashes(points: Array, sizes: Array) -> Array:
    """One hash for each word, given as code points of which only the first ones count."""
    found = np.full(len(points), OFFSET, np.uint32)
    for k in range(points.shape[1]):
        found = np.where(k < sizes, (found ^ points[:, k]) * PRIME, found)
    return found
