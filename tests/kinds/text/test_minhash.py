from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fieldcraft.kinds.text.checks import minhash
from fieldcraft.kinds.text.checks.minhash import (
    candidate_pairs,
    find_near_pairs,
    hash_shingles,
    jaccard_similarity,
    minhash_signatures,
)
from fieldcraft.statistics.connected_components import connected_components

WORDS = [f"w{i}" for i in range(2_000)]


def texts(rows: int, words: int = 100) -> list[list[str]]:
    draw = np.random.default_rng(0)
    return [draw.choice(WORDS, words).tolist() for _ in range(rows)]


def series(lists: list[list[str]]) -> pl.Series:
    return pl.Series([" ".join(words) for words in lists])


def test_every_word_stands_in_three_shingles() -> None:
    hashes, text = hash_shingles(pl.Series(["a b c d", "b c d e", "x"]))
    assert np.bincount(text).tolist() == [6, 6, 3]
    assert len(set(hashes[text == 0]) & set(hashes[text == 1])) == 1  # b c d


def test_the_resemblance_is_that_of_the_sets() -> None:
    words = pl.Series(["a b c d", "a b c d", "a b c x", "p q r s"])
    found = jaccard_similarity(words, np.array([[0, 1], [0, 2], [0, 3]]))
    np.testing.assert_allclose(found, [1, 3 / 9, 0])


@pytest.mark.parametrize(("changed", "near"), [(1, True), (3, True), (6, False), (20, False)])
def test_a_text_with_few_other_words_is_near(changed: int, near: bool) -> None:
    lists = texts(200)
    again = [*lists[7]]
    for i in range(changed):
        again[5 + 15 * i if changed <= 6 else 4 * i] = "other"
    pairs = find_near_pairs(series([*lists, again]))
    assert pairs.tolist() == ([[7, 200]] if near else [])


@pytest.mark.parametrize("words", [5, 10, 19])
def test_in_a_short_text_one_word_makes_another_text(words: int) -> None:
    (first,) = texts(1, words)
    others = [[*first[:i], "other", *first[i + 1 :]] for i in range(words)]
    pairs = find_near_pairs(series([first, *others, [*first, "more"]]))
    assert not (pairs == 0).any()


def test_most_near_texts_are_found_and_the_same_twice() -> None:
    changed = texts(300)
    for text in changed[::3]:
        text[10] = text[50] = text[90] = "other"
    words = series([*texts(300), *changed])
    pairs = find_near_pairs(words)
    assert len({tuple(pair) for pair in pairs.tolist()}) == 300
    np.testing.assert_array_equal(pairs, find_near_pairs(words))


def test_blocks_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    words = series([*texts(60), *texts(60)])
    whole, pairs = minhash_signatures(words), find_near_pairs(words)
    monkeypatch.setattr(minhash, "BLOCK_SIZE", 7)
    np.testing.assert_array_equal(minhash_signatures(words), whole)
    np.testing.assert_array_equal(find_near_pairs(words), pairs)


def test_many_equal_texts_give_few_pairs() -> None:
    signatures = minhash_signatures(pl.Series(["a b c d e"] * 500))
    pairs = candidate_pairs(signatures)
    assert len(pairs) < 2 * 500
    (group,) = connected_components(500, pairs)
    assert len(group) == 500


@pytest.mark.parametrize("words", [[], ["one two three four five"]])
def test_no_texts_have_no_pairs(words: list[str]) -> None:
    assert find_near_pairs(pl.Series(words, dtype=pl.String)).shape == (0, 2)
