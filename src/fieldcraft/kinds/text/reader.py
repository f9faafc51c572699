"""What is learned of one column of texts: weights of word parts, topics, target means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fieldcraft.contracts import Array
from fieldcraft.kinds.text.sparse import Sparse, leading_directions
from fieldcraft.kinds.text.words import BUCKETS, Words, words_of

MOST_TOPICS = 32
FEWEST_TOPICS = 4  # where there are no target means
ROWS_A_TOPIC = (100, 1_000)  # without target means, and with them: few rows learn topics by heart
MOST_TEXTS = 10_000  # that topics are learned from
RARE = 2  # texts that a part must stand in to count
WHOLE = 3.0  # a whole word counts as this many of its parts
PRIOR = (10.0, 100.0)  # texts' worth of the overall mean in each part's target mean
PRIOR_ROWS = 50_000.0  # few rows need a heavier one: this many, divided by the rows
FOLDS = 5  # of the out-of-fold target means
FARTHEST = 10.0  # standard deviations at which a number stops
SMALLEST_SPREAD = 1e-6
BLOCK = 20_000  # texts at a time, so that memory does not grow with the table


@dataclass(frozen=True)
class Texts:
    """The cells of a column; the words of few of them are kept for whoever asks again."""

    cells: pl.Series

    def __len__(self) -> int:
        return len(self.cells)

    def blocks(self) -> Iterator[Words]:
        """The words, some thousand texts at a time."""
        if len(self) <= BLOCK:
            yield from self._only
            return
        for start in range(0, len(self), BLOCK):
            yield words_of(self.cells.slice(start, BLOCK))

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

    def vectors(self, words: Words, directions: Array) -> Array:
        """Texts along some directions, and their extent, shape (texts, directions + 3)."""
        inner, outer = self.tables(words)
        return np.hstack([outer.times(inner.times(directions)), extent(words)])


@dataclass(frozen=True)
class Reader:
    """What was learned of one column.

    Attributes:
        vocabulary: the parts of words that count.
        directions: what each of them adds to the topics and, after these, to the target means.
        centre: of the numbers that come out, on training rows.
        spread: their standard deviations.
    """

    vocabulary: Vocabulary
    directions: Array
    centre: Array
    spread: Array

    def encode(self, texts: Texts) -> Array:
        """Topics, target means and extent of texts, standardised, shape (texts, numbers)."""
        parts = [self.vocabulary.vectors(words, self.directions) for words in texts.blocks()]
        return self.standardised(np.vstack(parts) if parts else np.zeros((0, len(self.centre))))

    def standardised(self, raw: Array) -> Array:
        """Numbers on the scale of the training rows."""
        return np.clip((raw - self.centre) / self.spread, -FARTHEST, FARTHEST)


def learn_reader(texts: Texts, target: Array) -> tuple[Reader, Array]:
    """Learn a column from training rows.

    Args:
        texts: the cells.
        target: what target means are taken of, shape (rows, columns).

    Returns:
        What was learned, and the training rows encoded, their target means out of fold.
    """
    draw = np.random.default_rng(0)
    fold = draw.permutation(len(texts)) % FOLDS
    counts, sums = tally(texts, target, fold)
    vocabulary = learn_vocabulary(counts, len(texts))
    chosen = draw.permutation(len(texts))[:MOST_TEXTS]
    inner, outer = vocabulary.tables(words_of(texts.cells[chosen]))
    topics = leading_directions(outer, inner, topics_for(len(texts), target.shape[1]))
    prior = float(np.clip(PRIOR_ROWS / max(len(texts), 1), *PRIOR))
    sums = sums[:, vocabulary.buckets]
    every = sums.sum(axis=0)
    means = [part_means(every - own, target[fold != i], prior) for i, own in enumerate(sums)]
    # As they come back from disk, for which 32 bits are enough.
    found = np.hstack([topics, part_means(every, target, prior), *means]).astype(np.float32)
    directions = np.asfortranarray(found, dtype=np.float64)
    width = topics.shape[1] + target.shape[1]
    parts = []
    for i, words in enumerate(texts.blocks()):
        part = vocabulary.vectors(words, directions)
        parts.append(out_of_fold(part, fold[i * BLOCK : (i + 1) * BLOCK], width, target.shape[1]))
    raw = np.vstack(parts)
    spread = raw.std(axis=0)
    spread = np.where(spread > SMALLEST_SPREAD, spread, 1.0)
    reader = Reader(vocabulary, directions[:, :width], raw.mean(axis=0), spread)
    return reader, reader.standardised(raw)


def topics_for(rows: int, targets: int) -> int:
    """How many topics a column of texts gives."""
    if targets:
        return min(MOST_TOPICS, rows // ROWS_A_TOPIC[1])
    return min(MOST_TOPICS, max(FEWEST_TOPICS, rows // ROWS_A_TOPIC[0]))


def out_of_fold(raw: Array, fold: Array, width: int, targets: int) -> Array:
    """Vectors with the target means of other folds in place of those of all rows.

    Args:
        raw: topics, target means of all rows, then of the rows outside each fold, then extent.
        fold: of each row.
        width: topics and target means of all rows.
        targets: how many columns the target has.
    """
    others = width + targets * fold[:, None] + np.arange(targets)
    own = np.take_along_axis(raw, others, axis=1)
    return np.hstack([raw[:, : width - targets], own, raw[:, width + targets * FOLDS :]])


def tally(texts: Texts, target: Array, fold: Array) -> tuple[Array, Array]:
    """In how many texts each bucket stands, and the sums of the target over them.

    Buckets are counted as often as words with them stand in a text, which is a little often; in
    return each different word is cut up once only.

    Returns:
        Shape (buckets,); and for each fold the sums with the number of texts in the last column,
        shape (folds, buckets, target columns + 1).
    """
    rows, width = target.shape
    sides = np.hstack([target, np.ones((rows, 1))])
    by_fold = np.hstack([sides * (fold == i)[:, None] for i in range(FOLDS)])
    sums = np.zeros((BUCKETS, FOLDS * (width + 1)))
    for i, words in enumerate(texts.blocks()):
        owner, bucket, _ = words.parts
        ones = np.ones(len(words.word))
        said = Sparse(words.word, words.text, ones, (len(words.spelt), len(words.lengths)))
        held = Sparse(bucket, owner, np.ones(len(owner)), (BUCKETS, len(words.spelt)))
        sums += held.times(said.times(by_fold[i * BLOCK : (i + 1) * BLOCK]))
    found = sums.reshape(BUCKETS, FOLDS, width + 1).transpose(1, 0, 2)
    return found[:, :, -1].sum(axis=0), found


def learn_vocabulary(counts: Array, texts: int) -> Vocabulary:
    """Weigh buckets by how few of the texts they stand in, and leave out rare ones."""
    buckets = np.flatnonzero(counts >= RARE)
    shares = (1 + np.minimum(counts[buckets], texts)) / (1 + texts)
    return Vocabulary(buckets, 1 - np.log(shares))


def part_means(sums: Array, target: Array, prior: float) -> Array:
    """How far the smoothed target means of buckets lie from the overall mean.

    Args:
        sums: of the target over the texts of each bucket, their number in the last column.
        target: of all these texts.
        prior: texts' worth of the overall mean.
    """
    overall = target.mean(axis=0) if len(target) else np.zeros(target.shape[1])
    return np.asarray((sums[:, :-1] + prior * overall) / (sums[:, -1:] + prior) - overall)


def extent(words: Words) -> Array:
    """Logarithms of characters and words, and whether there is no text, shape (texts, 3)."""
    missing = np.isnan(words.lengths)
    spoken = np.bincount(words.text, weights=words.times, minlength=len(words.lengths))
    characters = np.where(missing, 0, words.lengths)
    return np.stack([np.log1p(characters), np.log1p(spoken), missing], axis=1)
