"""Encode one text column by n-grams: topics (LSA), out-of-fold linear scores and length."""

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
# Without scores, and with scores. Models overfit to topics where rows are few.
ROWS_PER_TOPIC = (100, 1_000)
MAX_TOPIC_TEXTS = 10_000
# An n-gram of a single text cannot generalize. Banking77: .9130 without those, .9127 with them.
MIN_TEXTS_PER_BUCKET = 2
WHOLE_WORD_WEIGHT = 3.0  # relative to an n-gram inside a word; Banking77: 5 instead gave .9062
N_SCORE_FOLDS = 5
MAX_ABS_ZSCORE = 10.0
MIN_STD = 1e-6
LENGTH_FEATURES = ("length", "words", "missing")
# Both limits bound memory: 30 million nonzeros take 240 MB in the CSR matrix, 50 million weights
# take 400 MB.
MAX_SCORE_NONZEROS = 30_000_000
MAX_SCORE_WEIGHTS = 50_000_000  # all targets, in-fold and out-of-fold
BLOCK_TEXTS = 4_000  # encoded at a time, so that memory does not grow with the table
BLOCK_MEAN_CHARACTERS = 2_000  # blocks of texts longer than this hold fewer texts


@dataclass(frozen=True)
class TextColumn:
    """The cells of a text column, with term counts (of small tables) and embeddings cached.

    Attributes:
        cells: the texts.
        pretrained: the pretrained encoder of the column, if it has one.
    """

    cells: pl.Series
    pretrained: PretrainedTextEncoder | None = None

    def __len__(self) -> int:
        return len(self.cells)

    def iter_blocks(self) -> Iterator[TermCounts]:
        """Yield the term counts of blocks of texts."""
        block_texts = self.limit_batch_texts(BLOCK_TEXTS)
        if len(self) <= block_texts:
            yield from self._single_block
            return
        for start in range(0, len(self), block_texts):
            yield count_terms(self.cells.slice(start, block_texts))

    def limit_batch_texts(self, max_texts: int) -> int:
        """Lower a number of texts in proportion to their mean length."""
        scaled = int(max_texts * BLOCK_MEAN_CHARACTERS / max(self._mean_characters, 1.0))
        return max(1, min(max_texts, scaled))

    @cached_property
    def embeddings(self) -> Array | None:
        """Embeddings of the pretrained encoder, NaN where a text is missing; None without one."""
        return None if self.pretrained is None else self.pretrained.embed(self.cells)

    @cached_property
    def _mean_characters(self) -> float:
        character_counts = self.cells.cast(pl.String).str.len_chars().clip(0, MAX_CHARACTERS)
        return float(character_counts.sum()) / max(len(self), 1)

    # All fold models of a bundle encode the same rows, so terms of a single block are counted once.
    @cached_property
    def _single_block(self) -> list[TermCounts]:
        return [count_terms(self.cells)] if len(self) else []


@dataclass(frozen=True)
class NgramVocabulary:
    """N-gram buckets in use, in increasing order, and their inverse document frequencies."""

    buckets: Array
    idf: Array

    @cached_property
    def bucket_index(self) -> Array:
        """Position of each of the `N_BUCKETS` buckets in `buckets`, -1 if it is not in use."""
        index = np.full(N_BUCKETS, -1)
        index[self.buckets] = np.arange(len(self.buckets))
        return index

    def build_term_matrices(self, terms: TermCounts) -> tuple[CooMatrix, CooMatrix]:
        """Build the factors of the TF-IDF matrix: n-grams of each term, and terms of each text.

        Rows of their product have about unit length.

        Returns:
            Matrices of shape (terms, buckets) and (texts, terms).
        """
        # Two factors instead of one matrix: each distinct term is hashed and weighted once, however
        # many texts contain it.
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
        # Norms are computed as if the terms of a text shared no bucket, hence "about" unit length.
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
        """Build the TF-IDF matrix to fit scores to, a SciPy CSR matrix of float32.

        Float32 hides differences in the order of summation, so that fits are reproducible.
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
        """Project texts and append length features, shape (texts, components + 3)."""
        term_buckets, text_terms = self.build_term_matrices(terms)
        return np.hstack(
            [text_terms.matmul(term_buckets.matmul(projection)), compute_length_features(terms)]
        )


@dataclass(frozen=True)
class NgramEncoder:
    """The fitted n-gram encoder of one column.

    Attributes:
        vocabulary: the n-gram buckets in use, with their weights.
        projection: shape (buckets, topics + scores), the weights of topics, then of scores.
        mean: of each feature on the training rows, less the offset of its linear model.
        std: standard deviation of each feature on the training rows.
    """

    vocabulary: NgramVocabulary
    projection: Array
    mean: Array
    std: Array

    def encode(self, texts: TextColumn) -> Array:
        """Return standardized topics, scores and length features, shape (texts, features)."""
        parts = [self.vocabulary.project(terms, self.projection) for terms in texts.iter_blocks()]
        return self.standardize(np.vstack(parts) if parts else np.zeros((0, len(self.mean))))

    def standardize(self, raw: Array) -> Array:
        """Standardize by the training rows and clip to `MAX_ABS_ZSCORE` standard deviations."""
        return np.clip((raw - self.mean) / self.std, -MAX_ABS_ZSCORE, MAX_ABS_ZSCORE)


def fit_ngram_encoder(texts: TextColumn, score_targets: Array) -> tuple[NgramEncoder, Array]:
    """Fit the n-gram encoder of a column to training rows.

    Args:
        texts: the training texts.
        score_targets: from `build_score_targets`, shape (rows, targets).

    Returns:
        The encoder, and the encoded training rows with out-of-fold scores.
    """
    # Scores of training rows by a model fitted to the same rows would be far better than those of
    # new rows, and the models that read them would rely on them too much.
    #
    #   rows of fold  0     1     2     3     4        new rows
    #   scored by     -0    -1    -2    -3    -4       all rows
    #                 (-k: linear model fitted to the rows outside fold k)
    #
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
    # Rounded to float32 as `TextEncoder.state` stores them, so that a restored encoder gives the
    # same features to the bit.
    joined = np.hstack([topic_directions, score_weights]).astype(np.float32)
    projection = np.asfortranarray(joined, dtype=np.float64)
    offsets = np.concatenate(
        [np.zeros(topic_directions.shape[1]), offsets, np.zeros(len(LENGTH_FEATURES))]
    )
    n_features = topic_directions.shape[1] + score_targets.shape[1]
    parts, n_encoded = [], 0
    for terms in texts.iter_blocks():
        block = vocabulary.project(terms, projection) + offsets
        parts.append(
            select_out_of_fold_scores(
                block,
                fold_of_row[n_encoded : n_encoded + len(block)],
                n_features,
                score_targets.shape[1],
            )
        )
        n_encoded += len(block)
    raw = np.vstack(parts)
    std = raw.std(axis=0)
    std = np.where(std > MIN_STD, std, 1.0)
    feature_indices = np.r_[:n_features, len(offsets) - len(LENGTH_FEATURES) : len(offsets)]
    # ((x + offset) - mean) / std == (x - (mean - offset)) / std: offsets need not be stored.
    mean = raw.mean(axis=0) - offsets[feature_indices]
    encoder = NgramEncoder(vocabulary, projection[:, :n_features], mean, std)
    return encoder, encoder.standardize(raw - offsets[feature_indices])


def fit_fold_scores(
    texts: TextColumn, vocabulary: NgramVocabulary, score_targets: Array, fold_of_row: Array
) -> tuple[Array, Array]:
    """Fit linear scores to all texts, then to the texts outside each fold.

    Returns:
        Weights, shape (buckets, (1 + folds) * targets), and as many offsets.
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
    """Choose the number of topics of a column, given its number of scores."""
    if n_scores:
        return min(MAX_TOPICS, n_rows // ROWS_PER_TOPIC[1])
    return min(MAX_TOPICS, max(MIN_TOPICS, n_rows // ROWS_PER_TOPIC[0]))


def select_out_of_fold_scores(
    raw: Array, fold_of_row: Array, n_features: int, n_scores: int
) -> Array:
    """Replace the scores of the model of all rows by those of the model without the row's fold.

    Args:
        raw: topics, scores of the model of all rows, scores of each fold's model, length features.
        fold_of_row: fold of each row.
        n_features: number of topics and scores of the model of all rows.
        n_scores: number of scores of one model.
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
    """Count the texts of each bucket, shape (buckets,).

    A text counts once per term with an n-gram in the bucket, which overestimates a little; exact
    counts would need the n-grams of each text instead of those of each distinct term.
    """
    counts = np.zeros(N_BUCKETS)
    for terms in texts.iter_blocks():
        term_index, bucket, _ = terms.ngrams
        texts_per_term = np.bincount(terms.term_index, minlength=len(terms.terms))
        counts += np.bincount(bucket, weights=texts_per_term[term_index], minlength=N_BUCKETS)
    return counts


def fit_vocabulary(counts: Array, n_texts: int, max_buckets: int = N_BUCKETS) -> NgramVocabulary:
    """Select buckets that are not rare and weight them by inverse document frequency.

    At most `max_buckets` are kept, those of the most texts.
    """
    buckets = np.flatnonzero(counts >= MIN_TEXTS_PER_BUCKET)
    if len(buckets) > max_buckets:
        buckets = np.sort(buckets[np.argsort(-counts[buckets], kind="stable")[:max_buckets]])
    # Smoothed as in scikit-learn (smooth_idf). Counts may exceed the number of texts: see
    # `count_texts_per_bucket`.
    text_fractions = (1 + np.minimum(counts[buckets], n_texts)) / (1 + n_texts)
    return NgramVocabulary(buckets, 1 - np.log(text_fractions))


def compute_length_features(terms: TermCounts) -> Array:
    """Return log1p of characters, log1p of words and a missing indicator, shape (texts, 3)."""
    missing = np.isnan(terms.text_lengths)
    characters = np.where(missing, 0, terms.text_lengths)
    return np.stack([np.log1p(characters), np.log1p(terms.word_counts), missing], axis=1)
