"""What is learned of one column of texts: weights of word parts, topics, scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.core.types import Array
from fieldcraft.kinds.text.linear_scores import fit_score_models
from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS, N_BUCKETS, TermCounts, count_terms
from fieldcraft.kinds.text.pretrained import PretrainedTextEncoder
from fieldcraft.kinds.text.sparse import CooMatrix, compute_leading_singular_vectors

MAX_TOPICS = 32
MIN_TOPICS = 4  # where there are no scores
ROWS_PER_TOPIC = (100, 1_000)  # without scores, and with them: few rows learn topics by heart
MAX_TOPIC_TEXTS = 10_000  # that topics are learned from
MIN_TEXTS_PER_BUCKET = 2  # texts that a part must stand in to count
WHOLE_WORD_WEIGHT = 3.0  # a whole word counts as this many of its parts
N_SCORE_FOLDS = 5  # of the out-of-fold scores
MAX_ABS_ZSCORE = 10.0  # standard deviations at which a number stops
MIN_STD = 1e-6
LENGTH_FEATURES = ("length", "words", "missing")
MAX_SCORE_NONZEROS = 30_000_000  # parts in the texts that scores are learned from
MAX_SCORE_WEIGHTS = 50_000_000  # of parts for all scores, in and out of fold: what memory allows
BLOCK_TEXTS = 4_000  # texts at a time, so that memory does not grow with the table
BLOCK_MEAN_CHARACTERS = (
    2_000  # of a text, on average; where texts are longer, fewer are taken at a time
)


@dataclass(frozen=True)
class TextColumn:
    """The cells of a column; the words of few of them are kept for whoever asks again.

    Attributes:
        cells: the texts.
        pretrained: the encoder that gives their vectors, if one is asked for.
    """

    cells: pl.Series
    pretrained: PretrainedTextEncoder | None = None

    def __len__(self) -> int:
        return len(self.cells)

    def iter_blocks(self) -> Iterator[TermCounts]:
        """The words, some thousand texts at a time."""
        block_texts = self.limit_batch_texts(BLOCK_TEXTS)
        if len(self) <= block_texts:
            yield from self._single_block
            return
        for start in range(0, len(self), block_texts):
            yield count_terms(self.cells.slice(start, block_texts))

    def limit_batch_texts(self, max_texts: int) -> int:
        """How many texts are read at once instead of `most`, if they are long."""
        return max(
            1,
            min(
                max_texts, int(max_texts * BLOCK_MEAN_CHARACTERS / max(self._mean_characters, 1.0))
            ),
        )

    @cached_property
    def embeddings(self) -> Array | None:
        """What the pretrained encoder makes of the texts, NaN where there is none."""
        return None if self.pretrained is None else self.pretrained.embed(self.cells)

    @cached_property
    def _mean_characters(self) -> float:
        character_counts = self.cells.cast(pl.String).str.len_chars().clip(0, MAX_CHARACTERS)
        return float(character_counts.sum()) / max(len(self), 1)

    @cached_property
    def _single_block(self) -> list[TermCounts]:
        return [count_terms(self.cells)] if len(self) else []


@dataclass(frozen=True)
class NgramVocabulary:
    """The buckets of word parts that are not rare, increasing, and what each weighs."""

    buckets: Array
    idf: Array

    @cached_property
    def bucket_index(self) -> Array:
        """Where each bucket stands among these, -1 if it is not one of them."""
        index = np.full(N_BUCKETS, -1)
        index[self.buckets] = np.arange(len(self.buckets))
        return index

    def build_term_matrices(self, terms: TermCounts) -> tuple[CooMatrix, CooMatrix]:
        """Weighted parts of each different word, and words of each text.

        The words of a text are weighted so that its vector of parts has about length one.

        Returns:
            Shapes (words, buckets) and (texts, words).
        """
        term_index, bucket, is_whole_word = terms.ngrams
        feature_index = self.bucket_index[bucket]
        is_known = feature_index >= 0
        term_index, feature_index, is_whole_word = (
            term_index[is_known],
            feature_index[is_known],
            is_whole_word[is_known],
        )
        values = self.idf[feature_index] * np.where(is_whole_word, WHOLE_WORD_WEIGHT, 1.0)
        n_texts, n_terms = len(terms.text_lengths), len(terms.terms)
        squared_norms = np.bincount(term_index, values**2, minlength=n_terms)
        log_frequency = 1 + np.log(terms.term_frequency)
        squared_lengths = np.bincount(
            terms.text_index, log_frequency**2 * squared_norms[terms.term_index], minlength=n_texts
        )
        term_weights = log_frequency / np.sqrt(np.maximum(squared_lengths, 1e-12))[terms.text_index]
        return (
            CooMatrix(term_index, feature_index, values, (n_terms, len(self.buckets))),
            CooMatrix(terms.text_index, terms.term_index, term_weights, (n_texts, n_terms)),
        )

    def build_tfidf_matrix(self, texts: TextColumn) -> Any:
        """Texts by weighted parts of words, for learning: a SciPy matrix (CSR).

        In 32 bits, so that it does not depend on the order in which parts were summed.
        """
        from scipy import sparse

        def to_csr(matrix: CooMatrix) -> Any:
            return sparse.csr_matrix((matrix.value, (matrix.row, matrix.column)), matrix.shape)

        parts = []
        for terms in texts.iter_blocks():
            term_buckets, text_terms = self.build_term_matrices(terms)
            parts.append((to_csr(text_terms) @ to_csr(term_buckets)).astype(np.float32))
        empty = sparse.csr_matrix((0, len(self.buckets)), dtype=np.float32)
        stacked = sparse.vstack([empty, *parts], format="csr")
        stacked.sort_indices()
        return stacked

    def project(self, terms: TermCounts, projection: Array) -> Array:
        """Texts along some directions, and their extent, shape (texts, directions + 3)."""
        term_buckets, text_terms = self.build_term_matrices(terms)
        return np.hstack(
            [text_terms.matmul(term_buckets.matmul(projection)), compute_length_features(terms)]
        )


@dataclass(frozen=True)
class NgramEncoder:
    """What was learned of one column.

    Attributes:
        vocabulary: the parts of words that count.
        projection: what each of them adds to the topics and, after these, to the scores.
        mean: of the numbers that come out, on training rows.
        std: their standard deviations.
    """

    vocabulary: NgramVocabulary
    projection: Array
    mean: Array
    std: Array

    def encode(self, texts: TextColumn) -> Array:
        """Topics, scores and extent of texts, standardised, shape (texts, numbers)."""
        parts = [self.vocabulary.project(terms, self.projection) for terms in texts.iter_blocks()]
        return self.standardize(np.vstack(parts) if parts else np.zeros((0, len(self.mean))))

    def standardize(self, raw: Array) -> Array:
        """Numbers on the scale of the training rows."""
        return np.clip((raw - self.mean) / self.std, -MAX_ABS_ZSCORE, MAX_ABS_ZSCORE)


def fit_ngram_encoder(texts: TextColumn, score_targets: Array) -> tuple[NgramEncoder, Array]:
    """Learn a column from training rows.

    Args:
        texts: the cells.
        score_targets: what scores are to tell, from `goals_of`, shape (rows, goals).

    Returns:
        What was learned, and the training rows encoded, their scores out of fold.
    """
    rng = np.random.default_rng(0)
    fold_of_row = rng.permutation(len(texts)) % N_SCORE_FOLDS
    max_buckets = MAX_SCORE_WEIGHTS // ((1 + N_SCORE_FOLDS) * max(score_targets.shape[1], 1))
    vocabulary = fit_vocabulary(count_texts_per_bucket(texts), len(texts), max_buckets)
    sample = rng.permutation(len(texts))[: texts.limit_batch_texts(MAX_TOPIC_TEXTS)]
    term_buckets, text_terms = vocabulary.build_term_matrices(count_terms(texts.cells[sample]))
    topic_directions = compute_leading_singular_vectors(
        text_terms, term_buckets, choose_topic_count(len(texts), score_targets.shape[1])
    )
    score_weights, offsets = fit_fold_scores(texts, vocabulary, score_targets, fold_of_row)
    # As they come back from disk, for which 32 bits are enough.
    joined = np.hstack([topic_directions, score_weights]).astype(np.float32)
    projection = np.asfortranarray(joined, dtype=np.float64)
    offsets = np.concatenate(
        [np.zeros(topic_directions.shape[1]), offsets, np.zeros(len(LENGTH_FEATURES))]
    )
    n_features = topic_directions.shape[1] + score_targets.shape[1]
    parts, n_done = [], 0
    for terms in texts.iter_blocks():
        block = vocabulary.project(terms, projection) + offsets
        parts.append(
            select_out_of_fold_scores(
                block, fold_of_row[n_done : n_done + len(block)], n_features, score_targets.shape[1]
            )
        )
        n_done += len(block)
    raw = np.vstack(parts)
    std = raw.std(axis=0)
    std = np.where(std > MIN_STD, std, 1.0)
    feature_indices = np.r_[:n_features, len(offsets) - len(LENGTH_FEATURES) : len(offsets)]
    mean = raw.mean(axis=0) - offsets[feature_indices]  # so that the offsets need not be kept
    encoder = NgramEncoder(vocabulary, projection[:, :n_features], mean, std)
    return encoder, encoder.standardize(raw - offsets[feature_indices])


def fit_fold_scores(
    texts: TextColumn, vocabulary: NgramVocabulary, score_targets: Array, fold_of_row: Array
) -> tuple[Array, Array]:
    """Scores learned from all texts, then from those outside each fold, side by side.

    Returns:
        Weights, shape (parts, (1 + folds) * goals), and offsets.
    """
    if not score_targets.shape[1]:
        return np.zeros((len(vocabulary.buckets), 0)), np.zeros(0)
    tfidf = vocabulary.build_tfidf_matrix(texts)
    rng = np.random.default_rng(1)
    max_rows = int(MAX_SCORE_NONZEROS / max(tfidf.nnz / max(len(texts), 1), 1))
    fitted = []
    for in_training in (fold_of_row >= 0, *(fold_of_row != i for i in range(N_SCORE_FOLDS))):
        rows = np.sort(rng.permutation(np.flatnonzero(in_training))[:max_rows])
        fitted.append(fit_score_models(tfidf[rows], score_targets[rows]))
    return np.hstack([weights for weights, _ in fitted]), np.concatenate(
        [offset for _, offset in fitted]
    )


def choose_topic_count(n_rows: int, n_scores: int) -> int:
    """How many topics a column of texts gives, beside the scores for some goals."""
    if n_scores:
        return min(MAX_TOPICS, n_rows // ROWS_PER_TOPIC[1])
    return min(MAX_TOPICS, max(MIN_TOPICS, n_rows // ROWS_PER_TOPIC[0]))


def select_out_of_fold_scores(
    raw: Array, fold_of_row: Array, n_features: int, n_scores: int
) -> Array:
    """Vectors with the scores learned outside their fold in place of those of all rows.

    Args:
        raw: topics, scores of all rows, then of the rows outside each fold, then extent.
        fold_of_row: of each row.
        n_features: topics and scores of all rows.
        n_scores: how many scores there are.
    """
    fold_columns = n_features + n_scores * fold_of_row[:, None] + np.arange(n_scores)
    oof_scores = np.take_along_axis(raw, fold_columns, axis=1)
    return np.hstack(
        [
            raw[:, : n_features - n_scores],
            oof_scores,
            raw[:, n_features + n_scores * N_SCORE_FOLDS :],
        ]
    )


def count_texts_per_bucket(texts: TextColumn) -> Array:
    """In how many texts each bucket stands, shape (buckets,).

    A bucket counts as often as words with it stand in a text, which is a little often; in return
    each different word is cut up once only.
    """
    counts = np.zeros(N_BUCKETS)
    for terms in texts.iter_blocks():
        term_index, bucket, _ = terms.ngrams
        texts_per_term = np.bincount(terms.term_index, minlength=len(terms.terms))
        counts += np.bincount(bucket, weights=texts_per_term[term_index], minlength=N_BUCKETS)
    return counts


def fit_vocabulary(counts: Array, n_texts: int, max_buckets: int = N_BUCKETS) -> NgramVocabulary:
    """Weigh buckets by how few of the texts they stand in, and leave out rare ones.

    Of more than `most`, those are kept that stand in most texts.
    """
    buckets = np.flatnonzero(counts >= MIN_TEXTS_PER_BUCKET)
    if len(buckets) > max_buckets:
        buckets = np.sort(buckets[np.argsort(-counts[buckets], kind="stable")[:max_buckets]])
    text_fractions = (1 + np.minimum(counts[buckets], n_texts)) / (1 + n_texts)
    return NgramVocabulary(buckets, 1 - np.log(text_fractions))


def compute_length_features(terms: TermCounts) -> Array:
    """Logarithms of characters and words, and whether there is no text, shape (texts, 3)."""
    missing = np.isnan(terms.text_lengths)
    characters = np.where(missing, 0, terms.text_lengths)
    return np.stack([np.log1p(characters), np.log1p(terms.word_counts), missing], axis=1)
