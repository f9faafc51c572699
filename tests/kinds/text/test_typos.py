"""Typos are small, deterministic, and keep the text readable."""

from __future__ import annotations

from difflib import SequenceMatcher

import pytest

from fieldcraft.kinds.text.augment.typos import (
    KEYBOARD_NEIGHBORS,
    KEYBOARD_ROWS,
    add_typos,
)
from tests.kinds.text.sentences import make_texts

TEXTS = make_texts(60, 3)


def test_about_a_tenth_of_longer_words_has_a_typo() -> None:
    changed = total = 0
    for number, text in enumerate(TEXTS):
        before, after = text.split(), add_typos(text, number).split()
        assert len(before) == len(after)
        total += sum(len(word.strip(".")) > 3 for word in before)
        for old, new in zip(before, after, strict=True):
            changed += old != new
            assert old[0] == new[0]
            assert SequenceMatcher(None, old, new).ratio() > 0.6
            assert abs(len(old) - len(new)) <= 1
    assert 0.06 < changed / total < 0.15


def test_typos_are_deterministic_by_text_and_seed() -> None:
    variants = {add_typos(TEXTS[0], number) for number in range(9)}
    assert len(variants) > 5
    assert TEXTS[0] not in variants
    assert add_typos(TEXTS[0], 3) == add_typos(TEXTS[0], 3)


@pytest.mark.parametrize("text", ["", "a an the", "灯は", "!!! ...", "💥"])
def test_short_words_are_unchanged(text: str) -> None:
    assert add_typos(text, 0) == text


@pytest.mark.parametrize("text", ["лампа сломалась вчера", "Straße überall", "日本語文章", "aaaa"])
def test_letters_off_the_keyboard_get_typos_too(text: str) -> None:
    assert any(add_typos(text, number) != text for number in range(3))


def test_keyboard_neighbors_are_adjacent_and_symmetric() -> None:
    assert all(
        neighbor in row
        for row in KEYBOARD_ROWS
        for key in row
        for neighbor in KEYBOARD_NEIGHBORS[key]
    )
    assert all(
        key in KEYBOARD_NEIGHBORS[neighbor]
        for key in KEYBOARD_NEIGHBORS
        for neighbor in KEYBOARD_NEIGHBORS[key]
    )
