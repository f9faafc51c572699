"""Free text as numbers: topics, scores, length."""

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

DRAW = np.random.default_rng(0)
FOOD = ["bread", "cheese", "soup", "butter", "olives"]
TOOLS = ["hammer", "pliers", "screws", "ladder", "drill"]
IS_ABOUT_TOOLS = DRAW.integers(0, 2, 400)
TEXTS = pl.Series(" ".join(DRAW.choice(TOOLS if tools else FOOD, 4)) for tools in IS_ABOUT_TOOLS)
TARGET = np.where(DRAW.random(400) < 0.9, IS_ABOUT_TOOLS, 1 - IS_ABOUT_TOOLS)[:, None].astype(float)


def fit(texts: pl.Series, target: Array) -> tuple[NgramEncoder, Array]:
    return fit_ngram_encoder(TextColumn(texts), target)


def empty_target(texts: pl.Series) -> Array:
    return np.zeros((len(texts), 0))


def test_texts_of_like_words_lie_close_together() -> None:
    learned, own = fit(TEXTS, empty_target(TEXTS))
    bread, soup, drill = learned.encode(
        TextColumn(pl.Series(["Breads", "soup & butter", "drill"]))
    )[:, :2]
    assert np.linalg.norm(bread - soup) < np.linalg.norm(bread - drill)
    assert np.abs(np.corrcoef(own[:, :2].T, IS_ABOUT_TOOLS)[2, :2]).max() > 0.9


def test_numbers_are_standardised_on_training_rows_and_end_somewhere() -> None:
    learned, own = fit(TEXTS, TARGET)
    used = own.std(axis=0) > 1e-3
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(own.std(axis=0)[used], 1, atol=0.05)
    odd = pl.Series(["💥" * 99_999, "\0", "x", None, "bread " * 500, "好 好"])
    assert np.abs(learned.encode(TextColumn(odd))).max() <= MAX_ABS_ZSCORE


def test_a_text_scores_for_what_its_words_spoke_for() -> None:
    texts = pl.Series(["aa", "bb"] * 50)
    target = np.array([[1.0], [0.0]] * 50)
    learned, own = fit(texts, target)
    score = -len(LENGTH_FEATURES) - 1
    first, second, other = learned.encode(TextColumn(pl.Series(["aa", "bb", "zz"])))[:, score]
    assert first > other > second
    assert own[0, score] == pytest.approx(first, abs=0.1)


def test_numbers_are_scored_by_a_line() -> None:
    amount = IS_ABOUT_TOOLS[:, None] * 40.0 + DRAW.normal(size=(400, 1))
    learned, own = fit(TEXTS, amount)
    score = own[:, -len(LENGTH_FEATURES) - 1]
    assert np.corrcoef(score, amount[:, 0])[0, 1] > 0.95
    low, high = learned.encode(TextColumn(pl.Series(["soup bread", "hammer drill"])))[:, -4]
    assert low < high


@pytest.mark.parametrize("row", [0, 7, 399])
def test_no_training_row_sees_its_own_target(row: int) -> None:
    other = TARGET.copy()
    other[row] = 1 - other[row]
    column = -len(LENGTH_FEATURES) - 1  # the score
    fold = np.random.default_rng(0).permutation(400) % N_SCORE_FOLDS
    twin = next(i for i in np.flatnonzero(fold == fold[row]) if i != row)
    (one, left), (two, right) = (fit(TEXTS, target) for target in (TARGET, other))
    # All rows share one offset, so rows of a fold are compared with each other.
    own, same = ((v[row] - v[twin])[column] * r.std[column] for v, r in ((left, one), (right, two)))
    assert own == pytest.approx(same)
    assert one.encode(TextColumn(TEXTS))[row, column] != two.encode(TextColumn(TEXTS))[row, column]


def test_a_word_that_only_one_text_has_says_nothing() -> None:
    learned, _ = fit(pl.Series([*TEXTS, "qjxzvk"]), np.vstack([TARGET, [[1.0]]]))
    once, unknown = learned.encode(TextColumn(pl.Series(["qjxzvk", "kzxj"])))
    np.testing.assert_array_equal(once, unknown)


def test_length_words_and_gaps_are_told_last() -> None:
    texts = pl.Series(["one two", None, "three", "four five six"] * 9)
    learned, own = fit(texts, empty_target(texts))
    raw = own[:4, -3:] * learned.std[-3:] + learned.mean[-3:]
    wanted = [[7, 2, 0], [0, 0, 1], [5, 1, 0], [13, 3, 0]]
    np.testing.assert_allclose(raw, [[np.log1p(c), np.log1p(w), m] for c, w, m in wanted])


@pytest.mark.parametrize(
    "cells", [[None] * 30, ["\0"] * 30, ["same words"] * 30, ["one"], [f"{i}" for i in range(30)]]
)
def test_texts_that_say_little_give_numbers_all_the_same(cells: list[str | None]) -> None:
    texts = pl.Series(cells, dtype=pl.String)
    learned, own = fit(texts, np.ones((len(texts), 2)))
    assert np.isfinite(own).all()
    assert np.isfinite(learned.encode(TextColumn(TEXTS))).all()
    assert learned.encode(TextColumn(TEXTS.clear())).shape == (0, own.shape[1])


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, own = fit(TEXTS, TARGET)
    monkeypatch.setattr(ngram_encoder, "BLOCK_TEXTS", 64)
    parts, same = fit(TEXTS, TARGET)
    np.testing.assert_allclose(same, own)
    np.testing.assert_array_equal(parts.vocabulary.idf, whole.vocabulary.idf)
    np.testing.assert_array_equal(
        parts.encode(TextColumn(TEXTS[:70]))[:10], parts.encode(TextColumn(TEXTS[:10]))
    )


def test_of_very_many_parts_those_are_kept_that_stand_in_most_texts() -> None:
    found = fit_vocabulary(np.array([5, 0, 9, 1, 2, 7]), 10, max_buckets=3)
    assert found.buckets.tolist() == [0, 2, 5]
    assert fit_vocabulary(np.array([5, 0, 9, 1, 2, 7]), 10).buckets.tolist() == [0, 2, 4, 5]


def test_topics_of_many_texts_are_learned_from_some_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ngram_encoder, "MAX_TOPIC_TEXTS", 100)
    learned, _ = fit(TEXTS, empty_target(TEXTS))
    assert np.corrcoef(learned.encode(TextColumn(TEXTS))[:, 0], IS_ABOUT_TOOLS)[0, 1] ** 2 > 0.5


@pytest.mark.parametrize(
    ("rows", "targets", "topics"),
    [(30, 0, 4), (800, 0, 8), (4_000, 0, 32), (999, 1, 0), (3_000, 2, 3), (10**6, 1, 32)],
)
def test_topics_grow_with_the_rows(rows: int, targets: int, topics: int) -> None:
    assert choose_topic_count(rows, targets) == topics


@pytest.mark.parametrize(("rows", "topics"), [(30, 4), (400, 4), (800, 8), (4_000, 32)])
def test_many_topics_need_many_rows(rows: int, topics: int) -> None:
    words = DRAW.choice([f"word{i}" for i in range(200)], (rows, 5))
    texts = pl.Series([" ".join(text) for text in words])
    assert len(fit(texts, empty_target(texts))[0].mean) == topics + 3


def test_columns_stand_side_by_side_with_names() -> None:
    rows = pl.DataFrame({"a": TEXTS, "b": TEXTS.reverse()})
    encoder = TextEncoder([Column("a", "text"), Column("b", "text")])
    matrix = fit_and_encode(encoder, rows, np.hstack([TARGET, 1 - TARGET])).matrix()
    assert matrix.values.shape == (400, encoder.n_features)
    tail = ("score 1", "score 2", "score 3", "length", "words", "missing")
    assert matrix.names[-6:] == tuple(f"b ({name})" for name in tail)
    assert matrix.names[0] == "a (score 1)"
    assert set(matrix.levels) == {0}


def test_spam_is_told_from_ham(shared_data: Path) -> None:
    read = pl.read_csv(shared_data / "text" / "sms_spam" / "sms_spam.csv.gz")
    spam = (read["label"] == "spam").to_numpy().astype(float)
    train, test = read["text"][:3_000], read["text"][3_000:]
    learned, own = fit(train, spam[:3_000, None])
    design, held = (
        np.hstack([part, np.ones((len(part), 1))])
        for part in (own, learned.encode(TextColumn(test)))
    )
    weights = np.linalg.lstsq(design, spam[:3_000], rcond=None)[0]
    right = (held @ weights > 0.5) == spam[3_000:]
    assert right.mean() > 0.97  # always ham: 0.87


def test_long_texts_are_read_few_at_a_time_to_the_same_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learned, own = fit(TEXTS, TARGET)
    assert (
        TextColumn(TEXTS).limit_batch_texts(ngram_encoder.BLOCK_TEXTS) == ngram_encoder.BLOCK_TEXTS
    )
    monkeypatch.setattr(ngram_encoder, "BLOCK_MEAN_CHARACTERS", 2)
    assert 100 < TextColumn(TEXTS).limit_batch_texts(ngram_encoder.BLOCK_TEXTS) < len(TEXTS)
    again, other = fit(TEXTS, TARGET)
    np.testing.assert_allclose(other, own, atol=1e-5)
    np.testing.assert_allclose(
        again.encode(TextColumn(TEXTS)), learned.encode(TextColumn(TEXTS)), atol=1e-5
    )
    assert TextColumn(pl.Series(["x" * 10**7])).limit_batch_texts(ngram_encoder.BLOCK_TEXTS) == 1
