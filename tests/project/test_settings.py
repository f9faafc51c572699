"""Settings of a project file and their defaults."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from fieldcraft.project.settings import (
    ColumnCleaning,
    JoinSettings,
    MonitorSettings,
    ProjectSettings,
    RetrainSettings,
    ServeSettings,
    SettingsSection,
    as_seconds,
    as_text,
    require_unique,
)

COLUMNS = {"y": {"kind": "boolean"}, "age": {"kind": "number"}}


def make_settings(**sections: Any) -> ProjectSettings:
    """Return minimal settings, with sections added or replaced."""
    minimal = {
        "problem": {"target": "y", "task": "binary"},
        "data": {"source": "t.csv", "columns": COLUMNS},
    }
    return ProjectSettings.model_validate(minimal | sections)


def make_problem(**entries: Any) -> ProjectSettings:
    """Return minimal settings with more entries of the problem section."""
    return make_settings(problem={"target": "y", "task": "binary", **entries})


def make_data(**entries: Any) -> ProjectSettings:
    """Return minimal settings with more entries of the data section."""
    return make_settings(data={"source": "t.csv", "columns": COLUMNS, **entries})


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
def test_scalars_are_read_as_text(value: object, text: str) -> None:
    assert as_text(value) == text
    assert make_problem(positive_class=value).problem.positive_class == text
    assert make_problem(class_order=["x", value]).problem.class_order == ["x", text]
    assert make_data(na_values=[value], drop=[value]).data.na_values == [text]


def test_minimal_settings_have_the_defaults() -> None:
    settings_ = make_settings()
    assert (settings_.split.validation, settings_.split.evaluation, settings_.split.test) == (
        0.075,
        0.075,
        0.15,
    )
    assert (settings_.split.strategy, settings_.split.gap) == ("stratified", None)
    assert (settings_.model.learner, settings_.model.ensemble) == ("network", True)
    assert (settings_.train.time_budget, settings_.train.device) == (None, "auto")
    assert (settings_.problem.coverage, settings_.problem.threshold, settings_.problem.goal) == (
        0.9,
        None,
        None,
    )
    assert (
        settings_.problem.costs,
        settings_.problem.class_order,
        settings_.problem.sensitive_features,
    ) == ({}, [], [])
    assert (settings_.data.join, settings_.data.derived_columns, settings_.data.filter) == (
        [],
        {},
        None,
    )
    assert (settings_.clean.all, settings_.clean.columns) == (ColumnCleaning(), {})
    parts = {"serve", "monitor", "retrain"}
    assert set(settings_.deploy.model_dump(exclude=parts).values()) == {None}
    assert (settings_.deploy.serve, settings_.deploy.monitor) == (
        ServeSettings(),
        MonitorSettings(),
    )
    assert settings_.deploy.retrain == RetrainSettings()


def test_a_target_is_one_column_or_several() -> None:
    assert make_problem().problem.targets == ("y",)
    many = make_problem(target=["calm", "happy"], task="multilabel").problem
    assert (many.target, many.targets) == (["calm", "happy"], ("calm", "happy"))


def test_a_source_is_one_file_or_a_given_split() -> None:
    single_source = make_settings().data.source_files()
    assert (single_source.train, single_source.validation, single_source.test) == (
        "t.csv",
        None,
        None,
    )
    split = make_data(source={"train": "a.csv", "test": "b.csv"}).data.source_files()
    assert (split.train, split.validation, split.test) == ("a.csv", None, "b.csv")


def test_options_are_the_additional_entries() -> None:
    columns = {"y": {"kind": "number", "decimal": ","}, "x": {"kind": "text"}}
    settings_ = make_settings(
        data={"source": "t.csv", "columns": columns}, model={"dropout": 0.2, "ensemble": False}
    )
    assert settings_.data.columns["y"].options() == {"decimal": ","}
    assert settings_.data.columns["x"].options() == {}
    assert settings_.model.learner_options() == {"dropout": 0.2}


def test_encoder_options_are_the_explicit_cleaning_settings() -> None:
    assert ColumnCleaning(missing="drop").encoder_options() == {}
    cleaning = ColumnCleaning.model_validate({"impute": 0, "scale": "none", "clip": [0, 9]})
    assert cleaning.encoder_options() == {"impute": 0.0, "scale": "none", "clip": [0.0, 9.0]}
    assert ColumnCleaning(impute="model", clip="auto").encoder_options() == {
        "impute": "model",
        "clip": "auto",
    }


@pytest.mark.parametrize(("on", "keys"), [("id", ["id"]), (["shop", "day"], ["shop", "day"])])
def test_tables_are_joined_on_one_column_or_more(on: Any, keys: list[str]) -> None:
    assert JoinSettings(source="p.csv", on=on).keys == keys


@pytest.mark.parametrize(
    ("value", "length"), [("5m", 300.0), ("90", 90.0), (90, 90), ("soon", "soon"), (None, None)]
)
def test_durations_are_read_as_seconds(value: object, length: object) -> None:
    assert as_seconds(value) == length


@pytest.mark.parametrize(("budget", "length"), [(90, 90), ("1.5h", 5_400), (0.5, 0.5)])
def test_a_budget_is_seconds_or_a_duration(budget: object, length: float) -> None:
    assert make_settings(train={"time_budget": budget}).train.time_budget == length


@pytest.mark.parametrize(("gap", "read"), [("7d", "7d"), (7, 7.0), (0.5, 0.5), ("1.5 h", "1.5 h")])
def test_a_gap_is_a_duration_or_a_number(gap: object, read: object) -> None:
    parsed_gap = make_settings(split={"strategy": "time", "gap": gap}).split.gap
    assert (parsed_gap, type(parsed_gap)) == (read, type(read))


@pytest.mark.parametrize("threshold", [0.3, "accuracy", "balanced_accuracy", "f1", "mcc", None])
def test_a_threshold_is_a_number_or_a_metric(threshold: object) -> None:
    assert make_problem(threshold=threshold).problem.threshold == threshold


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("split", {"validation": 0.4, "evaluation": 0.3, "test": 0.25}, "take 95% of the rows"),
        ("split", {"test": 1.0}, "less than 1"),
        ("split", {"validation": 0}, "greater than 0"),
        ("split", {"strategy": "random"}, "'stratified', 'group' or 'time'"),
        ("split", {"gap": "a week"}, "should match pattern"),
        ("split", {"gap": -1}, "greater than or equal to 0"),
        ("split", {"seed": 0.5}, "valid integer"),
        ("train", {"time_budget": 0}, "greater than 0"),
        ("train", {"time_budget": "0s"}, "greater than 0"),
        ("train", {"time_budget": "soon"}, "valid number"),
        ("train", {"device": "gpu"}, "'auto', 'cpu', 'cuda' or 'mps'"),
        ("clean", {"all": {"clip": [1]}}, "at least 2 items"),
        ("clean", {"all": {"clip": [1, 1]}}, "give the lowest value first"),
        ("clean", {"columns": {"age": {"clip": [9, 1]}}}, "clip goes from 9 to 1"),
        ("clean", {"all": {"impute": ""}}, "at least 1 character"),
        ("clean", {"all": {"impute": True}}, "valid number"),
        ("clean", {"conflicting_rows": "fix"}, "'keep' or 'drop'"),
        ("clean", {"clip": "auto"}, "Extra inputs are not permitted"),
        ("audit", {"accepted": []}, "Extra inputs are not permitted"),
        ("deploy", {"max_latency_ms": 0}, "greater than 0"),
        ("deploy", {"max_size_mb": float("inf")}, "finite number"),
        ("modle", {}, "Extra inputs are not permitted"),
    ],
)
def test_invalid_sections_are_rejected(section: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_settings(**{section: value})


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"target": []}, "at least 1 item"),
        ({"target": ["a", "b", "a"]}, "a is listed twice"),
        ({"class_order": ["low", 1, "1"]}, "1 is listed twice"),
        ({"sensitive_features": ["age", "age"]}, "age is listed twice"),
        ({"threshold": 1}, "less than 1"),
        ({"threshold": "roc_auc"}, "'accuracy', 'balanced_accuracy', 'f1' or 'mcc'"),
        ({"threshold": True}, "valid number"),
        ({"coverage": 1}, "less than 1"),
        ({"goal": float("nan")}, "finite number"),
        ({"costs": {"yes": 3}}, "valid dictionary"),
        ({"costs": {"yes": {"no": -3}}}, "greater than or equal to 0"),
    ],
)
def test_invalid_problem_settings_are_rejected(entries: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_problem(**entries)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"source": {"test": "b.csv"}}, "Field required"),
        ({"source": 5}, "valid string"),
        ({"join": [{"source": "p.csv"}]}, "Field required"),
        ({"join": [{"source": "p.csv", "on": []}]}, "at least 1 item"),
        ({"join": {"source": "p.csv", "on": "id"}}, "valid list"),
        ({"derived_columns": {"x": 5}}, "valid string"),
        ({"column_names": ["a", "a"]}, "a is listed twice"),
        ({"entity": "age"}, "Extra inputs are not permitted"),
    ],
)
def test_invalid_data_settings_are_rejected(entries: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        make_data(**entries)


def test_unique_values_keep_their_order() -> None:
    assert require_unique(["b", "a"]) == ["b", "a"]


def test_the_test_part_may_be_empty() -> None:
    assert make_settings(split={"test": 0}).split.test == 0.0


def test_every_entry_is_documented_in_its_section() -> None:
    sections = [SettingsSection]
    for section in sections:  # grows while iterating
        sections += section.__subclasses__()
        explained = section.__doc__ or ""
        if section not in (
            SettingsSection,
            ProjectSettings,
        ):  # the whole consists of documented sections
            assert all(f"\n        {name}: " in explained for name in section.model_fields)


def test_the_digest_depends_only_on_its_sections() -> None:
    plain, seeded = make_settings(), make_settings(train={"seed": 1})
    assert plain.digest(("data", "split")) == seeded.digest(("data", "split"))
    assert plain.digest(("train",)) != seeded.digest(("train",))
    assert plain.digest(("data",)) != plain.digest(("split",))
    assert make_settings(train={"seed": 0}).digest(("train",)) == plain.digest(("train",))
    in_minutes, in_seconds = (
        make_settings(train={"time_budget": "5m"}),
        make_settings(train={"time_budget": 300}),
    )
    assert in_minutes.digest(("train",)) == in_seconds.digest(("train",))


def test_the_digest_of_one_entry_ignores_the_rest_of_its_section() -> None:
    plain, marked = make_settings(), make_data(source="other.csv", na_values=["?"])
    assert plain.digest(("data.columns",)) == marked.digest(("data.columns",))
    assert plain.digest(("data.na_values",)) != marked.digest(("data.na_values",))


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make_settings().split.seed = 5  # type: ignore[misc]
