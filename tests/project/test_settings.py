"""What a project file may say, and what it means when it says nothing."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from fieldcraft.project.settings import (
    Cleaning,
    Join,
    Retrain,
    Section,
    Serve,
    Settings,
    Watch,
    as_seconds,
    as_text,
    each_once,
)

COLUMNS = {"y": {"kind": "boolean"}, "age": {"kind": "number"}}


def settings(**sections: Any) -> Settings:
    """A small project, with sections beside or instead of the least there must be."""
    least = {
        "problem": {"target": "y", "task": "binary"},
        "data": {"source": "t.csv", "columns": COLUMNS},
    }
    return Settings.model_validate(least | sections)


def problem(**entries: Any) -> Settings:
    """A small project of which more of the problem is said."""
    return settings(problem={"target": "y", "task": "binary", **entries})


def data(**entries: Any) -> Settings:
    """A small project of which more of the data is said."""
    return settings(data={"source": "t.csv", "columns": COLUMNS, **entries})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (0.5, "0.5"),
        (-999, "-999"),
        (True, "true"),
        (False, "false"),
        ("no", "no"),
        (datetime.date(2024, 1, 31), "2024-01-31"),
    ],
)
def test_values_that_stand_for_text_are_read_as_they_stand_in_the_table(
    value: object, text: str
) -> None:
    assert as_text(value) == text
    assert problem(positive=value).problem.positive == text
    assert problem(order=["x", value]).problem.order == ["x", text]
    assert data(missing=[value], drop=[value]).data.missing == [text]


def test_a_project_that_says_the_least_gets_the_usual() -> None:
    found = settings()
    assert (found.split.tune, found.split.judge, found.split.test) == (0.075, 0.075, 0.15)
    assert (found.split.rule, found.split.gap) == ("stratified", None)
    assert (found.model.learner, found.model.blend) == ("network", True)
    assert (found.train.budget, found.train.device) == (None, "auto")
    assert (found.problem.coverage, found.problem.threshold, found.problem.bar) == (0.9, None, None)
    assert (found.problem.costs, found.problem.order, found.problem.groups) == ({}, [], [])
    assert (found.data.join, found.data.derive, found.data.filter) == ([], {}, None)
    assert (found.clean.all, found.clean.columns) == (Cleaning(), {})
    parts = {"serve", "watch", "retrain"}
    assert set(found.deploy.model_dump(exclude=parts).values()) == {None}
    assert (found.deploy.serve, found.deploy.watch) == (Serve(), Watch())
    assert found.deploy.retrain == Retrain()


def test_one_column_or_many_are_predicted() -> None:
    assert problem().problem.targets == ("y",)
    many = problem(target=["calm", "happy"], task="multilabel").problem
    assert (many.target, many.targets) == (["calm", "happy"], ("calm", "happy"))


def test_one_file_or_a_ready_made_split() -> None:
    one = settings().data.sources()
    assert (one.train, one.validation, one.test) == ("t.csv", None, None)
    split = data(source={"train": "a.csv", "test": "b.csv"}).data.sources()
    assert (split.train, split.validation, split.test) == ("a.csv", None, "b.csv")


def test_options_are_what_stands_beside_the_name() -> None:
    columns = {"y": {"kind": "number", "decimal": ","}, "x": {"kind": "text"}}
    found = settings(
        data={"source": "t.csv", "columns": columns}, model={"dropout": 0.2, "blend": False}
    )
    assert found.data.columns["y"].options() == {"decimal": ","}
    assert found.data.columns["x"].options() == {}
    assert found.model.options() == {"dropout": 0.2}


def test_cleaning_tells_encoders_what_is_said_and_nothing_else() -> None:
    assert Cleaning(missing="drop").options() == {}
    found = Cleaning.model_validate({"impute": 0, "scale": "none", "clip": [0, 9]})
    assert found.options() == {"impute": 0.0, "scale": "none", "clip": [0.0, 9.0]}
    assert Cleaning(impute="model", clip="auto").options() == {"impute": "model", "clip": "auto"}


@pytest.mark.parametrize(("on", "keys"), [("id", ["id"]), (["shop", "day"], ["shop", "day"])])
def test_tables_are_joined_on_one_column_or_more(on: Any, keys: list[str]) -> None:
    assert Join(source="p.csv", on=on).keys == keys


@pytest.mark.parametrize(
    ("value", "length"), [("5m", 300.0), ("90", 90.0), (90, 90), ("soon", "soon"), (None, None)]
)
def test_lengths_of_time_are_read_as_seconds(value: object, length: object) -> None:
    assert as_seconds(value) == length


@pytest.mark.parametrize(("budget", "length"), [(90, 90), ("1.5h", 5_400), (0.5, 0.5)])
def test_a_budget_is_seconds_or_a_length_of_time(budget: object, length: float) -> None:
    assert settings(train={"budget": budget}).train.budget == length


@pytest.mark.parametrize(("gap", "read"), [("7d", "7d"), (7, 7.0), (0.5, 0.5), ("1.5 h", "1.5 h")])
def test_a_gap_is_a_length_of_time_or_a_number(gap: object, read: object) -> None:
    found = settings(split={"rule": "time", "gap": gap}).split.gap
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize("threshold", [0.3, "accuracy", "balanced_accuracy", "f1", "mcc", None])
def test_a_threshold_is_a_number_or_a_rule(threshold: object) -> None:
    assert problem(threshold=threshold).problem.threshold == threshold


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("split", {"tune": 0.4, "judge": 0.3, "test": 0.25}, "take 95% of the rows"),
        ("split", {"test": 1.0}, "less than 1"),
        ("split", {"tune": 0}, "greater than 0"),
        ("split", {"rule": "random"}, "'stratified', 'entity' or 'time'"),
        ("split", {"gap": "a week"}, "should match pattern"),
        ("split", {"gap": -1}, "greater than or equal to 0"),
        ("split", {"seed": 0.5}, "valid integer"),
        ("train", {"budget": 0}, "greater than 0"),
        ("train", {"budget": "0s"}, "greater than 0"),
        ("train", {"budget": "soon"}, "valid number"),
        ("train", {"device": "gpu"}, "'auto', 'cpu', 'cuda' or 'mps'"),
        ("clean", {"all": {"clip": [1]}}, "at least 2 items"),
        ("clean", {"all": {"clip": [1, 1]}}, "name the lowest value first"),
        ("clean", {"columns": {"age": {"clip": [9, 1]}}}, "clip goes from 9 to 1"),
        ("clean", {"all": {"impute": ""}}, "at least 1 character"),
        ("clean", {"all": {"impute": True}}, "valid number"),
        ("clean", {"conflicting": "mend"}, "'keep' or 'drop'"),
        ("clean", {"clip": "auto"}, "Extra inputs are not permitted"),
        ("audit", {"accepted": []}, "Extra inputs are not permitted"),
        ("deploy", {"latency": 0}, "greater than 0"),
        ("deploy", {"size": float("inf")}, "finite number"),
        ("modle", {}, "Extra inputs are not permitted"),
    ],
)
def test_what_makes_no_sense_is_refused(section: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings(**{section: value})


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"target": []}, "at least 1 item"),
        ({"target": ["a", "b", "a"]}, "a stands there twice"),
        ({"order": ["low", 1, "1"]}, "1 stands there twice"),
        ({"groups": ["age", "age"]}, "age stands there twice"),
        ({"threshold": 1}, "less than 1"),
        ({"threshold": "roc_auc"}, "'accuracy', 'balanced_accuracy', 'f1' or 'mcc'"),
        ({"threshold": True}, "valid number"),
        ({"coverage": 1}, "less than 1"),
        ({"bar": float("nan")}, "finite number"),
        ({"costs": {"yes": 3}}, "valid dictionary"),
        ({"costs": {"yes": {"no": -3}}}, "greater than or equal to 0"),
    ],
)
def test_a_problem_that_makes_no_sense_is_refused(entries: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        problem(**entries)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"source": {"test": "b.csv"}}, "Field required"),
        ({"source": 5}, "valid string"),
        ({"join": [{"source": "p.csv"}]}, "Field required"),
        ({"join": [{"source": "p.csv", "on": []}]}, "at least 1 item"),
        ({"join": {"source": "p.csv", "on": "id"}}, "valid list"),
        ({"derive": {"x": 5}}, "valid string"),
        ({"names": ["a", "a"]}, "a stands there twice"),
        ({"group": "age"}, "Extra inputs are not permitted"),
    ],
)
def test_data_that_make_no_sense_are_refused(entries: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        data(**entries)


def test_what_stands_once_each_stays_in_its_order() -> None:
    assert each_once(["b", "a"]) == ["b", "a"]


def test_a_test_part_of_none_is_allowed() -> None:
    assert settings(split={"test": 0}).split.test == 0.0


def test_every_entry_is_explained_where_its_section_is() -> None:
    sections = [Section]
    for section in sections:  # grows while it is gone through
        sections += section.__subclasses__()
        explained = section.__doc__ or ""
        if section not in (Section, Settings):  # the whole has sections, each explained by itself
            assert all(f"\n        {name}: " in explained for name in section.model_fields)


def test_the_digest_of_sections_changes_with_them_and_with_nothing_else() -> None:
    plain, seeded = settings(), settings(train={"seed": 1})
    assert plain.digest(("data", "split")) == seeded.digest(("data", "split"))
    assert plain.digest(("train",)) != seeded.digest(("train",))
    assert plain.digest(("data",)) != plain.digest(("split",))
    assert settings(train={"seed": 0}).digest(("train",)) == plain.digest(("train",))
    in_minutes, in_seconds = settings(train={"budget": "5m"}), settings(train={"budget": 300})
    assert in_minutes.digest(("train",)) == in_seconds.digest(("train",))


def test_the_digest_of_one_entry_ignores_the_rest_of_its_section() -> None:
    plain, marked = settings(), data(source="other.csv", missing=["?"])
    assert plain.digest(("data.columns",)) == marked.digest(("data.columns",))
    assert plain.digest(("data.missing",)) != marked.digest(("data.missing",))


def test_settings_do_not_change_once_they_are_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        settings().split.seed = 5  # type: ignore[misc]
