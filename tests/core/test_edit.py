"""An edit of the project file reads as a line that a person could write."""

from __future__ import annotations

import pytest

from fieldcraft.core.edit import Edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Edit(("clean", "conflicting"), "drop"), "clean.conflicting: drop"),
        (Edit(("clean", "clip", "age"), [0, 99]), "clean.clip.age: [0, 99]"),
        (Edit(("data", "drop"), "key", add=True), "data.drop: add 'key'"),
    ],
)
def test_an_edit_in_words_names_place_and_value(edit: Edit, words: str) -> None:
    assert edit.in_words() == words


def test_equal_edits_are_equal_and_adding_is_not_setting() -> None:
    assert Edit(("data", "drop"), "key") == Edit(("data", "drop"), "key")
    assert Edit(("data", "drop"), "key") != Edit(("data", "drop"), "key", add=True)
