"""What is learned of one column of texts: weights of word parts, topics, scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import Array
from fieldcraft.kinds.text.pretrained import Pretrained
from fieldcraft.kinds.text.scores import learn_scores
from fieldcraft.kinds.text.sparse import Sparse, leading_directions
from fieldcraft.kinds.text.words import BUCKETS, MOST_CHARACTERS, Words, words_of

MOST_TOPICS = 32
FEWEST_TOPICS = 4  # where there are no scores
ROWS_A_TOPIC = (100, 1_000)  # without scores, and with them: few rows learn topics by heart
MOST_TEXTS = 10_000  # that topics are learned from
RARE = 2  # texts that a part must stand in to count
WHOLE = 3.0  # a whole word counts as this many of its parts
FOLDS = 5  # of the out-of-fold scores
FARTHEST = 10.0  # standard deviations at which a number stops
SMALLEST_SPREAD = 1e-6
EXTENT = ("length", "words", "missing")
MOST_CELLS = 30_000_000  # parts in the texts that scores are learned from
MOST_WEIGHTS = 50_000_000  # of parts for all scores, in and out of fold: what memory allows
BLOCK = 4_000  # texts at a time, so that memory does not grow with the table
LETTERS = 2_000  # of a text, on average; where texts are longer, fewer are taken at a time


@dataclass(frozen=True)
class Texts:
    """The cells of a column; the words of few of them are kept for whoever asks again.

    Attributes:
        cells: the texts.
        pretrained: the encoder that gives their vectors, if one is asked for.
    """

    cells: pl.Series
    pretrained: Pretrained | None = None

    def __len__(self) -> int:
        return len(self.cells)

    def blocks(self) -> Iterator[Words]:
        """The words, some thousand texts at a time."""
        step = self.fitting(BLOCK)
        if len(self) <= step:
            yield from self._only
            return
        for start in range(0, len(self), step):
            yield words_of(self.cells.slice(start, step))

    def fitting(self, most: int) -> int:
        """How many texts are read at once instead of `most`, if they are long."""
        return max(1, min(most, int(most * LETTERS / max(self._letters, 1.0))))

    @cached_property
    def vectors(self) -> Array | None:
        """What the pretrained encoder makes of the texts, NaN where there is none."""
        return None if self.pretrained is None else self.pretrained.vectors(self.cells)

    @cached_property
    def _letters(self) -> float:
        read = self.cells.cast(pl.String).str.len_chars().clip(0, MOST_CHARACTERS)
        return float(read.sum()) / max(len(self), 1)

    @cached_property
    def _only(self) -> list[Words]:
        return [words_of(self.cells)] if len(self) else []


@dataclass(frozen=True)
class Vocabulary:
    """The buckets of word parts that are not rare, increasing, and what each weighs."""

    buckets: Array
    weights: Array

    @cached_property
    def place(self) -> Array:
        """Where each bucket stands among these, -1 if it is not one of them."""
        found = np.full(BUCKETS, -1)
        found[self.buckets] = np.arange(len(self.buckets))
        return found

    def tables(self, words: Words) -> tuple[Sparse, Sparse]:
        """Weighted parts of each different word, and words of each text.

        The words of a text are weighted so that its vector of parts has about length one.

        Returns:
            Shapes (words, buckets) and (texts, words).
        """
        owner, bucket, whole = words.parts
        place = self.place[bucket]
        kept = place >= 0
        owner, place, whole = owner[kept], place[kept], whole[kept]
        values = self.weights[place] * np.where(whole, WHOLE, 1.0)
        texts, count = len(words.lengths), len(words.spelt)
        squares = np.bincount(owner, values**2, minlength=count)
        times = 1 + np.log(words.times)
        lengths = np.bincount(words.text, times**2 * squares[words.word], minlength=texts)
        scaled = times / np.sqrt(np.maximum(lengths, 1e-12))[words.text]
        return (
            Sparse(owner, place, values, (count, len(self.buckets))),
            Sparse(words.text, words.word, scaled, (texts, count)),
        )

    def matrix(self, texts: Texts) -> Any:
        """Texts by weighted parts of words, for learning: a SciPy matrix (CSR).

        In 32 bits, so that it does not depend on the order in which parts were summed.
        """
        from scipy import sparse

        def compressed(table: Sparse) -> Any:
            return sparse.csr_matrix((table.value, (table.row, table.column)), table.shape)

        parts = []
        for words in texts.blocks():
            inner, outer = self.tables(words)
            parts.append((compressed(outer) @ compressed(inner)).astype(np.float32))
        empty = sparse.csr_matrix((0, len(self.buckets)), dtype=np.float32)
        found = sparse.vstack([empty, *parts], format="csr")
        found.sort_indices()
        return found

    def vectors(self, words: Words, directions: Array) -> Array:
        """Texts along some directions, and their extent, shape (texts, directions + 3)."""
        inner, outer = self.tables(words)
        return np.hstack([outer.times(inner.times(directions)), extent(words)])


@dataclass(frozen=True)
class Reader:
    """What was learned of one column.

    Attributes:
        vocabulary: the parts of words that count.
        directions: what each of them adds to the topics and, after these, to the scores.
        centre: of the numbers that come out, on training rows.
        spread: their standard deviations.
    """

    vocabulary: Vocabulary
    directions: Array
    centre: Array
    spread: Array

    def encode(self, texts: Texts) -> Array:
        """Topics, scores and extent of texts, standardised, shape (texts, numbers)."""
        parts = [self.vocabulary.vectors(words, self.directions) for words in texts.blocks()]
        return self.standardised(np.vstack(parts) if parts else np.zeros((0, len(self.centre))))

    def standardised(self, raw: Array) -> Array:
        """Numbers on the scale of the training rows."""
        return np.clip((raw - self.centre) / self.spread, -FARTHEST, FARTHEST)


def learn_reader(texts: Texts, goals: Array) -> tuple[Reader, Array]:
    """Learn a column from training rows.

    Args:
        texts: the cells.
        goals: what scores are to tell, from `goals_of`, shape (rows, goals).

    Returns:
        What was learned, and the training rows encoded, their scores out of fold.
    """
    draw = np.random.default_rng(0)
    fold = draw.permutation(len(texts)) % FOLDS
    most = MOST_WEIGHTS // ((1 + FOLDS) * max(goals.shape[1], 1))
    vocabulary = learn_vocabulary(tally(texts), len(texts), most)
    chosen = draw.permutation(len(texts))[: texts.fitting(MOST_TEXTS)]
    inner, outer = vocabulary.tables(words_of(texts.cells[chosen]))
    topics = leading_directions(outer, inner, topics_for(len(texts), goals.shape[1]))
    weights, offsets = learn_folds(texts, vocabulary, goals, fold)
    # As they come back from disk, for which 32 bits are enough.
    found = np.hstack([topics, weights]).astype(np.float32)
    directions = np.asfortranarray(found, dtype=np.float64)
    offsets = np.concatenate([np.zeros(topics.shape[1]), offsets, np.zeros(len(EXTENT))])
    width = topics.shape[1] + goals.shape[1]
    parts, done = [], 0
    for words in texts.blocks():
        part = vocabulary.vectors(words, directions) + offsets
        parts.append(out_of_fold(part, fold[done : done + len(part)], width, goals.shape[1]))
        done += len(part)
    raw = np.vstack(parts)
    spread = raw.std(axis=0)
    spread = np.where(spread > SMALLEST_SPREAD, spread, 1.0)
    kept = np.r_[:width, len(offsets) - len(EXTENT) : len(offsets)]
    centre = raw.mean(axis=0) - offsets[kept]  # so that the offsets need not be kept
    reader = Reader(vocabulary, directions[:, :width], centre, spread)
    return reader, reader.standardised(raw - offsets[kept])


def learn_folds(
    texts: Texts, vocabulary: Vocabulary, goals: Array, fold: Array
) -> tuple[Array, Array]:
    """Scores learned from all texts, then from those outside each fold, side by side.

    Returns:
        Weights, shape (parts, (1 + folds) * goals), and offsets.
    """
    if not goals.shape[1]:
        return np.zeros((len(vocabulary.buckets), 0)), np.zeros(0)
    table = vocabulary.matrix(texts)
    draw = np.random.default_rng(1)
    most = int(MOST_CELLS / max(table.nnz / max(len(texts), 1), 1))
    found = []
    for outside in (fold >= 0, *(fold != i for i in range(FOLDS))):
        rows = np.sort(draw.permutation(np.flatnonzero(outside))[:most])
        found.append(learn_scores(table[rows], goals[rows]))
    return np.hstack([w for w, _ in found]), np.concatenate([offset for _, offset in found])


def topics_for(rows: int, goals: int) -> int:
    """How many topics a column of texts gives, beside the scores for some goals."""
    if goals:
        return min(MOST_TOPICS, rows // ROWS_A_TOPIC[1])
    return min(MOST_TOPICS, max(FEWEST_TOPICS, rows // ROWS_A_TOPIC[0]))


def out_of_fold(raw: Array, fold: Array, width: int, goals: int) -> Array:
    """Vectors with the scores learned outside their fold in place of those of all rows.

    Args:
        raw: topics, scores of all rows, then of the rows outside each fold, then extent.
        fold: of each row.
        width: topics and scores of all rows.
        goals: how many scores there are.
    """
    others = width + goals * fold[:, None] + np.arange(goals)
    own = np.take_along_axis(raw, others, axis=1)
    return np.hstack([raw[:, : width - goals], own, raw[:, width + goals * FOLDS :]])


def tally(texts: Texts) -> Array:
    """In how many texts each bucket stands, shape (buckets,).

    A bucket counts as often as words with it stand in a text, which is a little often; in return
    each different word is cut up once only.
    """
    counts = np.zeros(BUCKETS)
    for words in texts.blocks():
        owner, bucket, _ = words.parts
        said = np.bincount(words.word, minlength=len(words.spelt))
        counts += np.bincount(bucket, weights=said[owner], minlength=BUCKETS)
    return counts


def learn_vocabulary(counts: Array, texts: int, most: int = BUCKETS) -> Vocabulary:
    """Weigh buckets by how few of the texts they stand in, and leave out rare ones.

    Of more than `most`, those are kept that stand in most texts.
    """
    buckets = np.flatnonzero(counts >= RARE)
    if len(buckets) > most:
        buckets = np.sort(buckets[np.argsort(-counts[buckets], kind="stable")[:most]])
    shares = (1 + np.minimum(counts[buckets], texts)) / (1 + texts)
    return Vocabulary(buckets, 1 - np.log(shares))


def extent(words: Words) -> Array:
    """Logarithms of characters and words, and whether there is no text, shape (texts, 3)."""
    missing = np.isnan(words.lengths)
    characters = np.where(missing, 0, words.lengths)
    return np.stack([np.log1p(characters), np.log1p(words.spoken), missing], axis=1)
