"""N-gram features of texts: topics, scores, length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column
from fieldcraft.kinds.text import ngram_encoder
from fieldcraft.kinds.text.encode import TextEncoder
from fieldcraft.kinds.text.ngram_encoder import (
    LENGTH_FEATURES,
    MAX_ABS_ZSCORE,
    N_SCORE_FOLDS,
    NgramEncoder,
    TextColumn,
    choose_topic_count,
    fit_ngram_encoder,
    fit_vocabulary,
)
from tests.encoding import fit_and_encode

RNG = np.random.default_rng(0)
FOOD = ["bread", "cheese", "soup", "butter", "olives"]
TOOLS = ["hammer", "pliers", "screws", "ladder", "drill"]
IS_ABOUT_TOOLS = RNG.integers(0, 2, 400)
TEXTS = pl.Series(" ".join(RNG.choice(TOOLS if tools else FOOD, 4)) for tools in IS_ABOUT_TOOLS)
TARGET = np.where(RNG.random(400) < 0.9, IS_ABOUT_TOOLS, 1 - IS_ABOUT_TOOLS)[:, None].astype(float)


def fit(texts: pl.Series, target: Array) -> tuple[NgramEncoder, Array]:
    return fit_ngram_encoder(TextColumn(texts), target)


def empty_target(texts: pl.Series) -> Array:
    return np.zeros((len(texts), 0))


def test_topics_place_similar_texts_close_together() -> None:
    encoder, encoded = fit(TEXTS, empty_target(TEXTS))
    bread, soup, drill = encoder.encode(
        TextColumn(pl.Series(["Breads", "soup & butter", "drill"]))
    )[:, :2]
    assert np.linalg.norm(bread - soup) < np.linalg.norm(bread - drill)
    assert np.abs(np.corrcoef(encoded[:, :2].T, IS_ABOUT_TOOLS)[2, :2]).max() > 0.9


def test_features_are_standardized_and_clipped() -> None:
    encoder, encoded = fit(TEXTS, TARGET)
    is_used = encoded.std(axis=0) > 1e-3
    np.testing.assert_allclose(encoded.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(encoded.std(axis=0)[is_used], 1, atol=0.05)
    unusual = pl.Series(["💥" * 99_999, "\0", "x", None, "bread " * 500, "好 好"])
    assert np.abs(encoder.encode(TextColumn(unusual))).max() <= MAX_ABS_ZSCORE


def test_scores_follow_the_words_of_each_class() -> None:
    texts = pl.Series(["aa", "bb"] * 50)
    target = np.array([[1.0], [0.0]] * 50)
    encoder, encoded = fit(texts, target)
    score = -len(LENGTH_FEATURES) - 1
    score_aa, score_bb, score_zz = encoder.encode(TextColumn(pl.Series(["aa", "bb", "zz"])))[
        :, score
    ]
    assert score_aa > score_zz > score_bb
    assert encoded[0, score] == pytest.approx(score_aa, abs=0.1)


def test_regression_scores_are_linear() -> None:
    amount = IS_ABOUT_TOOLS[:, None] * 40.0 + RNG.normal(size=(400, 1))
    encoder, encoded = fit(TEXTS, amount)
    score = encoded[:, -len(LENGTH_FEATURES) - 1]
    assert np.corrcoef(score, amount[:, 0])[0, 1] > 0.95
    low, high = encoder.encode(TextColumn(pl.Series(["soup bread", "hammer drill"])))[:, -4]
    assert low < high


@pytest.mark.parametrize("row", [0, 7, 399])
def test_no_training_row_sees_its_own_target(row: int) -> None:
    changed_target = TARGET.copy()
    changed_target[row] = 1 - changed_target[row]
    column = -len(LENGTH_FEATURES) - 1  # the score
    fold = np.random.default_rng(0).permutation(400) % N_SCORE_FOLDS
    twin = next(i for i in np.flatnonzero(fold == fold[row]) if i != row)
    (encoder, rows), (changed_encoder, changed_rows) = (
        fit(TEXTS, target) for target in (TARGET, changed_target)
    )
    # All rows share one offset, so rows of a fold are compared with each other.
    score, changed_score = (
        (v[row] - v[twin])[column] * e.std[column]
        for v, e in ((rows, encoder), (changed_rows, changed_encoder))
    )
    assert score == pytest.approx(changed_score)
    in_fold, changed_in_fold = (
        e.encode(TextColumn(TEXTS))[row, column] for e in (encoder, changed_encoder)
    )
    assert in_fold != changed_in_fold


def test_word_of_a_single_text_is_ignored() -> None:
    encoder, _ = fit(pl.Series([*TEXTS, "qjxzvk"]), np.vstack([TARGET, [[1.0]]]))
    once, unknown = encoder.encode(TextColumn(pl.Series(["qjxzvk", "kzxj"])))
    np.testing.assert_array_equal(once, unknown)


def test_length_features_come_last() -> None:
    texts = pl.Series(["one two", None, "three", "four five six"] * 9)
    encoder, encoded = fit(texts, empty_target(texts))
    raw = encoded[:4, -3:] * encoder.std[-3:] + encoder.mean[-3:]
    expected = [[7, 2, 0], [0, 0, 1], [5, 1, 0], [13, 3, 0]]
    np.testing.assert_allclose(raw, [[np.log1p(c), np.log1p(w), m] for c, w, m in expected])


@pytest.mark.parametrize(
    "cells", [[None] * 30, ["\0"] * 30, ["same words"] * 30, ["one"], [f"{i}" for i in range(30)]]
)
def test_degenerate_texts_give_finite_features(cells: list[str | None]) -> None:
    texts = pl.Series(cells, dtype=pl.String)
    encoder, encoded = fit(texts, np.ones((len(texts), 2)))
    assert np.isfinite(encoded).all()
    assert np.isfinite(encoder.encode(TextColumn(TEXTS))).all()
    assert encoder.encode(TextColumn(TEXTS.clear())).shape == (0, encoded.shape[1])


def test_block_size_does_not_change_features(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, encoded = fit(TEXTS, TARGET)
    monkeypatch.setattr(ngram_encoder, "BLOCK_TEXTS", 64)
    blocked_encoder, blocked = fit(TEXTS, TARGET)
    np.testing.assert_allclose(blocked, encoded)
    np.testing.assert_array_equal(blocked_encoder.vocabulary.idf, encoder.vocabulary.idf)
    np.testing.assert_array_equal(
        blocked_encoder.encode(TextColumn(TEXTS[:70]))[:10],
        blocked_encoder.encode(TextColumn(TEXTS[:10])),
    )


def test_vocabulary_keeps_the_most_frequent_buckets() -> None:
    vocabulary = fit_vocabulary(np.array([5, 0, 9, 1, 2, 7]), 10, max_buckets=3)
    assert vocabulary.buckets.tolist() == [0, 2, 5]
    assert fit_vocabulary(np.array([5, 0, 9, 1, 2, 7]), 10).buckets.tolist() == [0, 2, 4, 5]


def test_topics_are_fitted_to_a_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ngram_encoder, "MAX_TOPIC_TEXTS", 100)
    encoder, _ = fit(TEXTS, empty_target(TEXTS))
    assert np.corrcoef(encoder.encode(TextColumn(TEXTS))[:, 0], IS_ABOUT_TOOLS)[0, 1] ** 2 > 0.5


@pytest.mark.parametrize(
    ("rows", "targets", "topics"),
    [(30, 0, 4), (800, 0, 8), (4_000, 0, 32), (999, 1, 0), (3_000, 2, 3), (10**6, 1, 32)],
)
def test_choose_topic_count(rows: int, targets: int, topics: int) -> None:
    assert choose_topic_count(rows, targets) == topics


@pytest.mark.parametrize(("rows", "topics"), [(30, 4), (400, 4), (800, 8), (4_000, 32)])
def test_number_of_topics_follows_the_rows(rows: int, topics: int) -> None:
    words = RNG.choice([f"word{i}" for i in range(200)], (rows, 5))
    texts = pl.Series([" ".join(text) for text in words])
    assert len(fit(texts, empty_target(texts))[0].mean) == topics + 3


def test_features_of_columns_are_named() -> None:
    rows = pl.DataFrame({"a": TEXTS, "b": TEXTS.reverse()})
    encoder = TextEncoder([Column("a", "text"), Column("b", "text")])
    matrix = fit_and_encode(encoder, rows, np.hstack([TARGET, 1 - TARGET])).matrix()
    assert matrix.values.shape == (400, encoder.n_features)
    tail = ("score 1", "score 2", "score 3", "length", "words", "missing")
    assert matrix.names[-6:] == tuple(f"b ({name})" for name in tail)
    assert matrix.names[0] == "a (score 1)"
    assert set(matrix.levels) == {0}


def test_spam_is_detected(shared_data: Path) -> None:
    table = pl.read_csv(shared_data / "text" / "sms_spam" / "sms_spam.csv.gz")
    spam = (table["label"] == "spam").to_numpy().astype(float)
    train, test = table["text"][:3_000], table["text"][3_000:]
    encoder, encoded = fit(train, spam[:3_000, None])
    train_design, test_design = (
        np.hstack([part, np.ones((len(part), 1))])
        for part in (encoded, encoder.encode(TextColumn(test)))
    )
    weights = np.linalg.lstsq(train_design, spam[:3_000], rcond=None)[0]
    is_correct = (test_design @ weights > 0.5) == spam[3_000:]
    assert is_correct.mean() > 0.97  # the majority class alone: 0.87


def test_smaller_blocks_of_long_texts_give_the_same_features(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder, encoded = fit(TEXTS, TARGET)
    assert (
        TextColumn(TEXTS).limit_batch_texts(ngram_encoder.BLOCK_TEXTS) == ngram_encoder.BLOCK_TEXTS
    )
    monkeypatch.setattr(ngram_encoder, "BLOCK_MEAN_CHARACTERS", 2)
    assert 100 < TextColumn(TEXTS).limit_batch_texts(ngram_encoder.BLOCK_TEXTS) < len(TEXTS)
    blocked_encoder, blocked = fit(TEXTS, TARGET)
    np.testing.assert_allclose(blocked, encoded, atol=1e-5)
    np.testing.assert_allclose(
        blocked_encoder.encode(TextColumn(TEXTS)), encoder.encode(TextColumn(TEXTS)), atol=1e-5
    )
    assert TextColumn(pl.Series(["x" * 10**7])).limit_batch_texts(ngram_encoder.BLOCK_TEXTS) == 1
