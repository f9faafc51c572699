"""What a project file may say, and what it means when it says nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fieldcraft.project.settings import Settings, as_text


def settings(**sections: Any) -> Settings:
    """A small project, with sections beside or instead of the least there must be."""
    least = {
        "problem": {"target": "y", "task": "binary"},
        "data": {"source": "t.csv", "columns": {"y": {"kind": "boolean"}}},
    }
    return Settings.model_validate(least | sections)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (0.5, "0.5"), (-999, "-999"), (True, "true"), (False, "false"), ("no", "no")],
)
def test_values_that_stand_for_text_are_read_as_they_stand_in_the_table(
    value: object, text: str
) -> None:
    assert as_text(value) == text
    found = settings(problem={"target": "y", "task": "binary", "positive": value})
    assert found.problem.positive == text


def test_a_project_that_says_the_least_gets_the_usual_split() -> None:
    found = settings()
    assert (found.split.tune, found.split.judge, found.split.test) == (0.075, 0.075, 0.15)
    assert (found.split.rule, found.model.learner, found.train.budget) == (
        "stratified",
        "network",
        None,
    )


def test_one_file_or_a_ready_made_split() -> None:
    columns = {"y": {"kind": "boolean"}}
    one = settings().data.sources()
    assert (one.train, one.validation, one.test) == ("t.csv", None, None)
    source = {"train": "a.csv", "test": "b.csv"}
    split = settings(data={"source": source, "columns": columns}).data.sources()
    assert (split.train, split.validation, split.test) == ("a.csv", None, "b.csv")


def test_options_are_what_stands_beside_the_name() -> None:
    columns = {"y": {"kind": "number", "decimal": ","}, "x": {"kind": "text"}}
    found = settings(data={"source": "t.csv", "columns": columns}, model={"dropout": 0.2})
    assert found.data.columns["y"].options() == {"decimal": ","}
    assert found.data.columns["x"].options() == {}
    assert found.model.options() == {"dropout": 0.2}


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("split", {"tune": 0.4, "judge": 0.3, "test": 0.25}, "take 95% of the rows"),
        ("split", {"test": 1.0}, "less than 1"),
        ("split", {"tune": 0}, "greater than 0"),
        ("split", {"rule": "random"}, "'stratified', 'group' or 'time'"),
        ("train", {"budget": 0}, "greater than 0"),
        ("clean", {"clip": {"age": [1]}}, "at least 2 items"),
        ("clean", {"conflicting": "mend"}, "'keep' or 'drop'"),
        ("audit", {"accepted": []}, "Extra inputs are not permitted"),
        ("modle", {}, "Extra inputs are not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(section: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**{section: value})


def test_a_test_part_of_none_is_allowed() -> None:
    assert settings(split={"test": 0}).split.test == 0.0


def test_the_digest_of_sections_changes_with_them_and_with_nothing_else() -> None:
    plain, seeded = settings(), settings(train={"seed": 1})
    assert plain.digest(("data", "split")) == seeded.digest(("data", "split"))
    assert plain.digest(("train",)) != seeded.digest(("train",))
    assert plain.digest(("data",)) != plain.digest(("split",))
    assert settings(train={"seed": 0}).digest(("train",)) == plain.digest(("train",))


def test_the_digest_of_one_entry_ignores_the_rest_of_its_section() -> None:
    columns = {"y": {"kind": "boolean"}}
    plain = settings()
    marked = settings(data={"source": "other.csv", "columns": columns, "missing": ["?"]})
    assert plain.digest(("data.columns",)) == marked.digest(("data.columns",))
    assert plain.digest(("data.missing",)) != marked.digest(("data.missing",))


def test_settings_do_not_change_once_they_are_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings().split.seed = 5  # type: ignore[misc]
