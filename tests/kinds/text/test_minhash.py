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


def random_texts(rows: int, words: int = 100) -> list[list[str]]:
    rng = np.random.default_rng(0)
    return [rng.choice(WORDS, words).tolist() for _ in range(rows)]


def join_words(lists: list[list[str]]) -> pl.Series:
    return pl.Series([" ".join(words) for words in lists])


def test_every_word_is_in_three_shingles() -> None:
    hashes, text = hash_shingles(pl.Series(["a b c d", "b c d e", "x"]))
    assert np.bincount(text).tolist() == [6, 6, 3]
    assert len(set(hashes[text == 0]) & set(hashes[text == 1])) == 1  # b c d


def test_jaccard_similarity_is_that_of_the_shingle_sets() -> None:
    words = pl.Series(["a b c d", "a b c d", "a b c x", "p q r s"])
    similarities = jaccard_similarity(words, np.array([[0, 1], [0, 2], [0, 3]]))
    np.testing.assert_allclose(similarities, [1, 3 / 9, 0])


@pytest.mark.parametrize(("changed", "near"), [(1, True), (3, True), (6, False), (20, False)])
def test_text_with_few_changed_words_is_near(changed: int, near: bool) -> None:
    lists = random_texts(200)
    changed_text = [*lists[7]]
    for i in range(changed):
        changed_text[5 + 15 * i if changed <= 6 else 4 * i] = "other"
    pairs = find_near_pairs(join_words([*lists, changed_text]))
    assert pairs.tolist() == ([[7, 200]] if near else [])


@pytest.mark.parametrize("words", [5, 10, 19])
def test_one_changed_word_separates_short_texts(words: int) -> None:
    (first,) = random_texts(1, words)
    others = [[*first[:i], "other", *first[i + 1 :]] for i in range(words)]
    pairs = find_near_pairs(join_words([first, *others, [*first, "more"]]))
    assert not (pairs == 0).any()


def test_near_texts_are_found_deterministically() -> None:
    changed = random_texts(300)
    for text in changed[::3]:
        text[10] = text[50] = text[90] = "other"
    words = join_words([*random_texts(300), *changed])
    pairs = find_near_pairs(words)
    assert len({tuple(pair) for pair in pairs.tolist()}) == 300
    np.testing.assert_array_equal(pairs, find_near_pairs(words))


def test_block_size_does_not_change_results(monkeypatch: pytest.MonkeyPatch) -> None:
    words = join_words([*random_texts(60), *random_texts(60)])
    signatures, pairs = minhash_signatures(words), find_near_pairs(words)
    monkeypatch.setattr(minhash, "BLOCK_SIZE", 7)
    np.testing.assert_array_equal(minhash_signatures(words), signatures)
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
