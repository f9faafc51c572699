"""An edit of the project file is described as the line that a user would write."""

from __future__ import annotations

import pytest

from fieldcraft.core.config_edit import ConfigEdit


@pytest.mark.parametrize(
    ("edit", "description"),
    [
        (ConfigEdit(("clean", "conflicting_rows"), "drop"), "clean.conflicting_rows: drop"),
        (
            ConfigEdit(("clean", "columns", "age", "clip"), [0, 99]),
            "clean.columns.age.clip: [0, 99]",
        ),
        (ConfigEdit(("data", "drop"), "key", append=True), "data.drop: add 'key'"),
    ],
)
def test_a_description_has_path_and_value(edit: ConfigEdit, description: str) -> None:
    assert edit.describe() == description


def test_setting_and_appending_are_different_edits() -> None:
    assert ConfigEdit(("data", "drop"), "key") == ConfigEdit(("data", "drop"), "key")
    assert ConfigEdit(("data", "drop"), "key") != ConfigEdit(("data", "drop"), "key", append=True)
