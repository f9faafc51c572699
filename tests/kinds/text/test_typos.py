"""Typos are small, always the same, and leave what the text says."""

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


def test_about_a_tenth_of_the_longer_words_is_mistyped() -> None:
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


def test_the_same_text_and_number_give_the_same_and_others_others() -> None:
    found = {add_typos(TEXTS[0], number) for number in range(9)}
    assert len(found) > 5
    assert TEXTS[0] not in found
    assert add_typos(TEXTS[0], 3) == add_typos(TEXTS[0], 3)


@pytest.mark.parametrize("text", ["", "a an the", "灯は", "!!! ...", "💥"])
def test_where_no_word_is_long_enough_nothing_is_changed(text: str) -> None:
    assert add_typos(text, 0) == text


@pytest.mark.parametrize("text", ["лампа сломалась вчера", "Straße überall", "日本語文章", "aaaa"])
def test_letters_that_are_not_on_the_keyboard_are_mistyped_too(text: str) -> None:
    assert any(add_typos(text, number) != text for number in range(3))


def test_keys_that_are_hit_instead_lie_beside_the_right_one() -> None:
    assert all(
        other in row for row in KEYBOARD_ROWS for key in row for other in KEYBOARD_NEIGHBORS[key]
    )
    assert all(
        key in KEYBOARD_NEIGHBORS[other]
        for key in KEYBOARD_NEIGHBORS
        for other in KEYBOARD_NEIGHBORS[key]
    )
