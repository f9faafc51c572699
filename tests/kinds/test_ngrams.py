"""Texts cut into words, words cut into hashed parts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS, N_BUCKETS, count_terms, hash_ngrams


def list_terms(*texts: str | None) -> list[list[str]]:
    """The words of each text, then its pairs of words."""
    words = count_terms(pl.Series(texts, dtype=pl.String))
    return [
        [words.terms[i] for i in words.term_index[words.text_index == text]]
        for text in range(len(texts))
    ]


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
    (found,) = list_terms(text)
    assert [word for word in found if " " not in word] == words


def test_neighbouring_words_of_one_text_make_pairs_that_come_after_the_words() -> None:
    assert list_terms("to be or to be", "be") == [
        ["to", "be", "or", "to be", "be or", "or to"],
        ["be"],
    ]


def test_words_are_counted_text_by_text_and_a_missing_text_has_none() -> None:
    words = count_terms(pl.Series(["b a b", None, "a"]))
    assert words.terms == ["b", "a", "b a", "a b"]
    assert words.text_index.tolist() == [0, 0, 0, 0, 2]
    assert words.term_index.tolist() == [0, 1, 2, 3, 1]
    assert words.term_frequency.tolist() == [2, 1, 1, 1, 1]
    assert words.word_counts.tolist() == [3, 0, 1]
    np.testing.assert_array_equal(words.text_lengths, [5, np.nan, 1])


def test_what_comes_after_the_first_characters_counts_for_the_length_alone() -> None:
    text = "x " * (MAX_CHARACTERS // 2) + "end"
    words = count_terms(pl.Series([text]))
    assert words.terms == ["x", "x x"]
    assert words.text_lengths.tolist() == [MAX_CHARACTERS + 3]


@settings(max_examples=50, deadline=None, database=None, derandomize=True)
@given(texts=st.lists(st.none() | st.text(max_size=30), max_size=6))
def test_each_text_is_cut_by_itself(texts: list[str | None]) -> None:
    assert list_terms(*texts) == [list_terms(text)[0] for text in texts]


def hash_word(word: str) -> set[int]:
    return set(hash_ngrams([word])[1].tolist())


def test_buckets_are_the_same_on_every_machine_and_forever() -> None:
    owner, bucket, whole = hash_ngrams(["owen", "é"])
    assert owner.tolist() == [0] * 15 + [1] * 4
    assert whole.sum() == 2
    assert bucket.tolist() == [
        64141, 57513, 123675, 25800, 230891, 109643, 249183, 164660, 128441, 167003, 68428,
        244452, 245512, 111509, 173807, 10178, 165022, 128442, 95737,
    ]  # fmt: skip


def test_the_parts_of_a_word_are_its_runs_of_two_to_five_characters_and_itself() -> None:
    assert len(hash_ngrams(["owen"])[0]) == 5 + 4 + 3 + 2 + 1  # its bounds count as characters
    assert len(hash_ngrams(["a"])[0]) == 2 + 1 + 1
    assert len(hash_ngrams(["a b"])[0]) == 1  # a pair is but a whole
    assert [len(part) for part in hash_ngrams([])] == [0, 0, 0]


def test_words_that_are_spelt_alike_share_parts_and_others_do_not() -> None:
    assert len(hash_word("running") & hash_word("runner")) >= 6
    assert not hash_word("running") & hash_word("table")
    assert hash_word("on") != hash_word("no")


def test_a_word_is_hashed_the_same_beside_longer_ones() -> None:
    words = ["a", "words", "two words", "é" * 24]
    owner, bucket, whole = hash_ngrams(words)
    for i, word in enumerate(words):
        _, alone, wholly = hash_ngrams([word])
        assert sorted(bucket[owner == i].tolist()) == sorted(alone.tolist())
        assert bucket[(owner == i) & whole].tolist() == alone[wholly].tolist()


def test_buckets_fill_evenly() -> None:
    counts = np.bincount(hash_ngrams([f"word{i}" for i in range(60_000)])[1], minlength=N_BUCKETS)
    assert len(counts) == N_BUCKETS
    assert (counts == 0).mean() < 0.6
