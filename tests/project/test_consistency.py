"""Names of plugins and columns that do not exist or are not allowed where they are used."""

from __future__ import annotations

from typing import Any

import pytest

from fieldcraft.project.consistency import (
    check_column_references,
    check_impute_values,
    check_plugin_names,
    check_split_strategy,
    iter_column_references,
)
from fieldcraft.project.settings import ProjectSettings

MINIMAL_VALUES: dict[str, Any] = {
    "problem": {"target": "churn", "task": "binary"},
    "data": {
        "source": "t.csv",
        "columns": {
            "churn": {"kind": "boolean"},
            "age": {"kind": "number"},
            "rate": {"kind": "number"},
        },
        "derived_columns": {"rate": "age / 2", "half": "rate / 2"},
    },
}


def make_values(**changes: Any) -> dict[str, Any]:
    """Return the values of a small project file with some entries changed."""
    sections = {**MINIMAL_VALUES, **{name: {} for name in changes if name not in MINIMAL_VALUES}}
    return {
        name: {**entries, **changes[name]} if isinstance(changes.get(name), dict)
        else changes.get(name, entries)
        for name, entries in sections.items()
    }  # fmt: skip


def test_a_valid_file_has_no_issues() -> None:
    odd: dict[str, Any] = {"problem": None, "data": 5, "model": [], "clean": "x"}
    for values in (make_values(), {}, odd):
        assert [
            *check_plugin_names(values),
            *check_column_references(values),
            *check_split_strategy(values),
        ] == []


@pytest.mark.parametrize(
    ("changes", "path", "text"),
    [
        (
            {"problem": {"task": "binry"}},
            "problem.task",
            "problem.task: no task 'binry'; did you mean 'binary'?",
        ),
        (
            {"problem": {"metric": "rmse"}},
            "problem.metric",
            "problem.metric: no metric 'rmse' for binary; choose one of: accuracy,",
        ),
        (
            {"problem": {"target": ["churn"]}},
            "problem.target",
            "problem.target: binary needs one column, not a list",
        ),
        (
            {"problem": {"task": "multilabel"}},
            "problem.target",
            "problem.target: multilabel needs a list of columns, one for each label",
        ),
        (
            {"data": {"columns": {"churn": {"kind": "bool"}}}},
            "data.columns.churn.kind",
            "data.columns.churn.kind: no kind 'bool'; did you mean 'boolean'?",
        ),
        (
            {"data": {"columns": {"age": {"kind": "number", "decimals": ","}}}},
            "data.columns.age.decimals",
            "data.columns.age.decimals is not known here; did you mean 'decimal'?",
        ),
        (
            {"model": {"learner": "lightbgm"}},
            "model.learner",
            "model.learner: no learner 'lightbgm'; did you mean 'lightgbm'?",
        ),
        (
            {"model": {"learner": "lightgbm", "dropout": 0.1}},
            "model.dropout",
            "model.dropout is not a setting of lightgbm; ",
        ),
        (
            {"model": {"drpout": None}},
            "model.drpout",
            "model.drpout is not a setting of network; did you mean 'dropout'?",
        ),
        (
            {"model": {"class_weights": "equal"}},
            "model.class_weights",
            "model.class_weights must be balanced, or names, each with a number (got: 'equal')",
        ),
        (
            {"model": {"class_weights": {"yes": "x"}}},
            "model.class_weights.yes",
            "model.class_weights.yes must be a number (got: 'x')",
        ),
        (
            {"model": {"layers": "many"}},
            "model.layers",
            "model.layers must be a whole number",
        ),
    ],
)
def test_unknown_plugin_names_are_reported(changes: dict[str, Any], path: str, text: str) -> None:
    ((where, message),) = check_plugin_names(make_values(**changes))
    assert ".".join(where) == path
    assert message.startswith(text)


@pytest.mark.parametrize(
    "changes", [{"learner": None, "dropout": None}, {"learner": 5}, {"ensemble": True}]
)
def test_missing_and_mistyped_settings_are_no_unknown_names(changes: dict[str, Any]) -> None:
    assert list(check_plugin_names(make_values(model=changes))) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"problem": {"target": "chrun"}},
            "problem.target: no column 'chrun'; did you mean 'churn'?",
        ),
        ({"problem": {"target": ["churn", "aeg"]}}, "problem.target: no column 'aeg'"),
        (
            {"problem": {"sensitive_features": ["aeg"]}},
            "problem.sensitive_features: no column 'aeg'; did you mean 'age'?",
        ),
        ({"data": {"drop": ["aeg"]}}, "data.drop: no column 'aeg'; did you mean 'age'?"),
        (
            {"data": {"time_column": "aeg"}},
            "data.time_column: no column 'aeg'; did you mean 'age'?",
        ),
        ({"data": {"group": "aeg"}}, "data.group: no column 'aeg'; did you mean 'age'?"),
        (
            {"data": {"sample_weight": "aeg"}},
            "data.sample_weight: no column 'aeg'; did you mean 'age'?",
        ),
        ({"data": {"id_column": "aeg"}}, "data.id_column: no column 'aeg'; did you mean 'age'?"),
        (
            {"data": {"split_column": 5}},
            "data.split_column: no column '5'; choose one of: age, churn, half, rate",
        ),
        (
            {"clean": {"columns": {"aeg": {}}}},
            "clean.columns: no column 'aeg'; did you mean 'age'?",
        ),
        (
            {"clean": {"columns": {"half": {}}}},
            "clean.columns: 'half' is a derived column; to clean it, give it a kind",
        ),
        (
            {"problem": {"target": "half"}},
            "problem.target: 'half' is a derived column; only a column",
        ),
        (
            {"data": {"sample_weight": "half"}},
            "data.sample_weight: 'half' is a derived column; only a column",
        ),
        (
            {"split": {"strategy": "time"}},
            "split.strategy is time, but data.time_column is not set",
        ),
        ({"split": {"strategy": "group"}}, "split.strategy is group, but data.group is not set"),
        ({"split": {"gap": "7d"}}, "split.gap needs the strategy time"),
        ({"split": {"gap": 0}}, "split.gap needs the strategy time"),
    ],
)
def test_invalid_column_names_are_reported(changes: dict[str, Any], text: str) -> None:
    values = make_values(**changes)
    ((where, message),) = (*check_column_references(values), *check_split_strategy(values))
    assert message.startswith(text)
    assert message.startswith(".".join(where[:2]))


@pytest.mark.parametrize(
    "changes",
    [
        {
            "problem": {"sensitive_features": ["half", "age"]},
            "data": {"drop": ["half"], "time_column": "half"},
        },
        {"clean": {"columns": {"rate": {"clip": "auto"}}}},
        {"data": {"time_column": "age", "group": "age"}, "split": {"strategy": "time", "gap": 7}},
        {"data": {"group": "age"}, "split": {"strategy": "group", "gap": None}},
        {"data": {"sample_weight": None, "drop": None, "time_column": ["age"]}},
    ],
)
def test_valid_column_names_are_not_reported(changes: dict[str, Any]) -> None:
    values = make_values(**changes)
    assert [*check_column_references(values), *check_split_strategy(values)] == []


def test_column_names_are_not_checked_without_columns() -> None:
    values = make_values(problem={"target": "x"}, data={"columns": None, "sample_weight": "x"})
    assert list(check_column_references(values)) == []


def test_every_entry_with_a_column_name_is_checked() -> None:
    definitions = ProjectSettings.model_json_schema()["$defs"]
    named = {
        (section.lower(), field)
        for section in ("Problem", "Data")
        for field, node in definitions[f"{section}Settings"]["properties"].items()
        if "the name of a column" in str(node) and field != "column_names"
    }
    looked = {path[:2] for path, _, _ in iter_column_references(make_values())}
    assert looked == named


def test_only_categories_can_be_imputed_by_a_text() -> None:
    words = {"street": {"kind": "category"}, "all": {"kind": "category"}}
    columns = {**MINIMAL_VALUES["data"]["columns"], **words}
    clean = {
        "all": {"impute": "medain"},
        "columns": {
            "street": {"impute": "unknown"},
            "age": {"impute": "unknown"},
            "churn": {"impute": "mode"},
            "rate": {"impute": 0},
        },
    }
    values = make_values(data={"columns": columns}, clean=clean)
    assert list(check_impute_values(values)) == [
        (
            ("clean", "all", "impute"),
            "clean.all.impute: 'medain' fills categories only; did you mean 'median'?",
        ),
        (
            ("clean", "columns", "age", "impute"),
            "clean.columns.age.impute: 'unknown' fills categories only; "
            "choose one of: mean, median, mode, model",
        ),
    ]
    for odd in ({}, {"clean": None}, {"clean": {"all": 3, "columns": ["age"]}}):
        assert list(check_impute_values(odd)) == []
