"""Texts cut into words, words cut into hashed parts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.kinds.text.words import BUCKETS, MOST_CHARACTERS, parts_of, words_of


def said(*texts: str | None) -> list[list[str]]:
    """The words of each text, then its pairs of words."""
    words = words_of(pl.Series(texts, dtype=pl.String))
    return [[words.spelt[i] for i in words.word[words.text == text]] for text in range(len(texts))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Braund, Mr. Owen", ["braund", ",", "mr", ".", "owen"]),
        ("FREE!! call 0800", ["free", "!", "call", "0800"]),
        ("Größe naïve Ωμέγα", ["größe", "naïve", "ωμέγα"]),
        ("好吃 very", ["好", "吃", "very"]),
        ("a" * 30, ["a" * 24, "a" * 6]),
        ("well 💥💥", ["well", "💥"]),
        ("\0\x01 \t\n", []),
        ("", []),
    ],
)
def test_a_text_is_cut_into_lower_case_words_and_signs(text: str, words: list[str]) -> None:
    (found,) = said(text)
    assert [word for word in found if " " not in word] == words


def test_neighbouring_words_of_one_text_make_pairs_that_come_after_the_words() -> None:
    assert said("to be or to be", "be") == [["to", "be", "or", "to be", "be or", "or to"], ["be"]]


def test_words_are_counted_text_by_text_and_a_missing_text_has_none() -> None:
    words = words_of(pl.Series(["b a b", None, "a"]))
    assert words.spelt == ["b", "a", "b a", "a b"]
    assert words.text.tolist() == [0, 0, 0, 0, 2]
    assert words.word.tolist() == [0, 1, 2, 3, 1]
    assert words.times.tolist() == [2, 1, 1, 1, 1]
    assert words.spoken.tolist() == [3, 0, 1]
    np.testing.assert_array_equal(words.lengths, [5, np.nan, 1])


def test_what_comes_after_the_first_characters_counts_for_the_length_alone() -> None:
    text = "x " * (MOST_CHARACTERS // 2) + "end"
    words = words_of(pl.Series([text]))
    assert words.spelt == ["x", "x x"]
    assert words.lengths.tolist() == [MOST_CHARACTERS + 3]


@settings(max_examples=50, deadline=None, database=None, derandomize=True)
@given(texts=st.lists(st.none() | st.text(max_size=30), max_size=6))
def test_each_text_is_cut_by_itself(texts: list[str | None]) -> None:
    assert said(*texts) == [said(text)[0] for text in texts]


def buckets(word: str) -> set[int]:
    return set(parts_of([word])[1].tolist())


def test_buckets_are_the_same_on_every_machine_and_forever() -> None:
    owner, bucket, whole = parts_of(["owen", "é"])
    assert owner.tolist() == [0] * 15 + [1] * 4
    assert whole.sum() == 2
    assert bucket.tolist() == [
        64141, 57513, 123675, 25800, 230891, 109643, 249183, 164660, 128441, 167003, 68428,
        244452, 245512, 111509, 173807, 10178, 165022, 128442, 95737,
    ]  # fmt: skip


def test_the_parts_of_a_word_are_its_runs_of_two_to_five_characters_and_itself() -> None:
    assert len(parts_of(["owen"])[0]) == 5 + 4 + 3 + 2 + 1  # its bounds count as characters
    assert len(parts_of(["a"])[0]) == 2 + 1 + 1
    assert len(parts_of(["a b"])[0]) == 1  # a pair is but a whole
    assert [len(part) for part in parts_of([])] == [0, 0, 0]


def test_words_that_are_spelt_alike_share_parts_and_others_do_not() -> None:
    assert len(buckets("running") & buckets("runner")) >= 6
    assert not buckets("running") & buckets("table")
    assert buckets("on") != buckets("no")


def test_a_word_is_hashed_the_same_beside_longer_ones() -> None:
    words = ["a", "words", "two words", "é" * 24]
    owner, bucket, whole = parts_of(words)
    for i, word in enumerate(words):
        _, alone, wholly = parts_of([word])
        assert sorted(bucket[owner == i].tolist()) == sorted(alone.tolist())
        assert bucket[(owner == i) & whole].tolist() == alone[wholly].tolist()


def test_buckets_fill_evenly() -> None:
    counts = np.bincount(parts_of([f"word{i}" for i in range(60_000)])[1], minlength=BUCKETS)
    assert len(counts) == BUCKETS
    assert (counts == 0).mean() < 0.6
