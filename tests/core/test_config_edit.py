"""An edit of the project file reads as a line that a person could write."""

from __future__ import annotations

import pytest

from fieldcraft.core.config_edit import ConfigEdit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (ConfigEdit(("clean", "conflicting"), "drop"), "clean.conflicting: drop"),
        (ConfigEdit(("clean", "clip", "age"), [0, 99]), "clean.clip.age: [0, 99]"),
        (ConfigEdit(("data", "drop"), "key", append=True), "data.drop: add 'key'"),
    ],
)
def test_an_edit_in_words_names_place_and_value(edit: ConfigEdit, words: str) -> None:
    assert edit.describe() == words


def test_equal_edits_are_equal_and_adding_is_not_setting() -> None:
    assert ConfigEdit(("data", "drop"), "key") == ConfigEdit(("data", "drop"), "key")
    assert ConfigEdit(("data", "drop"), "key") != ConfigEdit(("data", "drop"), "key", append=True)
