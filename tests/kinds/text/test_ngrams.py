"""Texts are split into words, and words into hashed n-grams."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.kinds.text.ngrams import MAX_CHARACTERS, N_BUCKETS, count_terms, hash_ngrams


def list_terms(*texts: str | None) -> list[list[str]]:
    """Return the words of each text, then its word pairs."""
    counts = count_terms(pl.Series(texts, dtype=pl.String))
    return [
        [counts.terms[i] for i in counts.term_index[counts.text_index == text]]
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
def test_texts_are_split_into_lower_case_words(text: str, words: list[str]) -> None:
    (terms,) = list_terms(text)
    assert [word for word in terms if " " not in word] == words


def test_bigrams_follow_the_words_of_their_text() -> None:
    assert list_terms("to be or to be", "be") == [
        ["to", "be", "or", "to be", "be or", "or to"],
        ["be"],
    ]


def test_words_are_counted_by_text() -> None:
    counts = count_terms(pl.Series(["b a b", None, "a"]))
    assert counts.terms == ["b", "a", "b a", "a b"]
    assert counts.text_index.tolist() == [0, 0, 0, 0, 2]
    assert counts.term_index.tolist() == [0, 1, 2, 3, 1]
    assert counts.term_frequency.tolist() == [2, 1, 1, 1, 1]
    assert counts.word_counts.tolist() == [3, 0, 1]
    np.testing.assert_array_equal(counts.text_lengths, [5, np.nan, 1])


def test_characters_after_the_limit_count_for_the_length_only() -> None:
    text = "x " * (MAX_CHARACTERS // 2) + "end"
    counts = count_terms(pl.Series([text]))
    assert counts.terms == ["x", "x x"]
    assert counts.text_lengths.tolist() == [MAX_CHARACTERS + 3]


@settings(max_examples=50, deadline=None, database=None, derandomize=True)
@given(texts=st.lists(st.none() | st.text(max_size=30), max_size=6))
def test_each_text_is_split_independently(texts: list[str | None]) -> None:
    assert list_terms(*texts) == [list_terms(text)[0] for text in texts]


def hash_word(word: str) -> set[int]:
    return set(hash_ngrams([word])[1].tolist())


def test_buckets_are_stable() -> None:
    term_index, bucket, is_whole_word = hash_ngrams(["owen", "é"])
    assert term_index.tolist() == [0] * 15 + [1] * 4
    assert is_whole_word.sum() == 2
    assert bucket.tolist() == [
        64141, 57513, 123675, 25800, 230891, 109643, 249183, 164660, 128441, 167003, 68428,
        244452, 245512, 111509, 173807, 10178, 165022, 128442, 95737,
    ]  # fmt: skip


def test_ngrams_of_a_word_have_two_to_five_characters() -> None:
    assert len(hash_ngrams(["owen"])[0]) == 5 + 4 + 3 + 2 + 1  # its boundaries count as characters
    assert len(hash_ngrams(["a"])[0]) == 2 + 1 + 1
    assert len(hash_ngrams(["a b"])[0]) == 1  # a pair is hashed as a whole
    assert [len(part) for part in hash_ngrams([])] == [0, 0, 0]


def test_words_of_similar_spelling_share_ngrams() -> None:
    assert len(hash_word("running") & hash_word("runner")) >= 6
    assert not hash_word("running") & hash_word("table")
    assert hash_word("on") != hash_word("no")


def test_hashes_do_not_depend_on_other_words() -> None:
    words = ["a", "words", "two words", "é" * 24]
    term_index, bucket, is_whole_word = hash_ngrams(words)
    for i, word in enumerate(words):
        _, bucket_alone, is_whole_alone = hash_ngrams([word])
        assert sorted(bucket[term_index == i].tolist()) == sorted(bucket_alone.tolist())
        assert (
            bucket[(term_index == i) & is_whole_word].tolist()
            == bucket_alone[is_whole_alone].tolist()
        )


def test_buckets_fill_evenly() -> None:
    counts = np.bincount(hash_ngrams([f"word{i}" for i in range(60_000)])[1], minlength=N_BUCKETS)
    assert len(counts) == N_BUCKETS
    assert (counts == 0).mean() < 0.6
