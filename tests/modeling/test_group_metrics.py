"""Group metrics show a planted gap, and no significant gap between equal groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.types import Array, Json
from fieldcraft.data.schema import Schema
from fieldcraft.modeling.dataset import ModelingDataset
from fieldcraft.modeling.group_metrics import compute_group_metrics, max_group_gap
from fieldcraft.project.settings import DataSettings, ProblemSettings, ProjectSettings
from fieldcraft.statistics.bootstrap import BootstrapPlan
from fieldcraft.statistics.classification_metrics import ACCURACY
from fieldcraft.statistics.groups import MIN_ROWS_PER_GROUP
from fieldcraft.statistics.metrics import Predictions

ROWS = 900
TARGET_SPEC = {"classes": ["no", "yes"], "positive": "yes"}
COLUMNS = {"group": {"kind": "category"}, "age": {"kind": "number"}, "y": {"kind": "category"}}


def make_evaluated(
    frame: pl.DataFrame, right: Array, y: Array
) -> tuple[ModelingDataset, Predictions]:
    """Return a dataset and predictions that are correct where `right` is true."""
    outputs = np.eye(2)[np.where(right, y, 1 - y)] * 0.8 + 0.1
    rows = ModelingDataset(
        frame,
        frame,
        y,
        [],
        [],
        Schema(()),
        catalog.load_plugin("tasks", "binary"),
        TARGET_SPEC,
        "",
    )
    return rows, Predictions(outputs, outputs.argmax(axis=1), outputs > 0.3)


def group_metrics_of(frame: pl.DataFrame, right: Array, y: Array, names: list[str]) -> list[Json]:
    rows, predictions = make_evaluated(frame, right, y)
    settings = ProjectSettings(
        problem=ProblemSettings(target="y", task="binary", sensitive_features=names),
        data=DataSettings.model_validate({"source": "t.csv", "columns": COLUMNS}),
    )
    plan = BootstrapPlan(len(y), 3, n_resamples=400)
    return compute_group_metrics(rows, np.arange(len(y)), predictions, ACCURACY, plan, settings)


@pytest.fixture
def frame() -> pl.DataFrame:
    draw = np.random.default_rng(0)
    group = draw.choice(["a", "b", "c"], ROWS)
    return pl.DataFrame({"group": group, "age": draw.normal(40, 10, ROWS).round(1).astype(str)})


@pytest.fixture
def y() -> Array:
    return np.random.default_rng(1).integers(0, 2, ROWS)


def test_without_sensitive_features_there_are_no_group_metrics(
    frame: pl.DataFrame, y: Array
) -> None:
    assert group_metrics_of(frame, y == 1, y, []) == []


def test_a_planted_gap_is_found_between_the_right_groups(frame: pl.DataFrame, y: Array) -> None:
    draw = np.random.default_rng(2)
    rate = frame["group"].replace_strict({"a": 0.9, "b": 0.8, "c": 0.6}).to_numpy()
    (group_metrics,) = group_metrics_of(frame, draw.random(ROWS) < rate, y, ["group"])
    gap = group_metrics["max_gaps"]["accuracy"]
    assert (gap["highest_group"], gap["lowest_group"]) == ("a", "c")
    assert 0.15 < gap["low"] < gap["value"] < gap["high"]
    figures = {
        item["group"]: item["metrics"]["accuracy"]["value"] for item in group_metrics["groups"]
    }
    assert gap["value"] == pytest.approx(figures["a"] - figures["c"])
    assert sum(item["rows"] for item in group_metrics["groups"]) == ROWS


def test_equal_groups_have_no_significant_gap(frame: pl.DataFrame, y: Array) -> None:
    """Of 30 tables without a gap, at most four show a significant one."""
    n_significant = 0
    for seed in range(30):
        right = np.random.default_rng(100 + seed).random(ROWS) < 0.8
        (group_metrics,) = group_metrics_of(frame, right, y, ["group"])
        gap = group_metrics["max_gaps"]["accuracy"]
        assert gap["value"] >= 0
        n_significant += gap["low"] > 0
    assert n_significant <= 4


def test_the_gap_interval_widens_with_the_number_of_pairs() -> None:
    draw = np.random.default_rng(4)
    drawn = {name: 0.8 + 0.01 * draw.normal(size=2001) for name in "abcdef"}
    drawn["a"][0], drawn["b"][0] = 0.9, 0.7
    two = max_group_gap({name: drawn[name] for name in "ab"})
    six = max_group_gap(drawn)
    assert (
        (six["highest_group"], six["lowest_group"])
        == (two["highest_group"], two["lowest_group"])
        == ("a", "b")
    )
    assert six["low"] < two["low"]
    assert six["high"] > two["high"]
    spread = drawn["a"][1:] - drawn["b"][1:]
    level = 0.05 / 15  # fifteen pairs of six groups
    assert six["low"] == pytest.approx(np.quantile(spread, level / 2), abs=1e-9)


def test_groups_of_too_few_rows_are_skipped_and_named(y: Array) -> None:
    few = MIN_ROWS_PER_GROUP - 1
    frame = pl.DataFrame({"group": ["few"] * few + ["many"] * (ROWS - few), "age": ["1"] * ROWS})
    (group_metrics,) = group_metrics_of(frame, y == 1, y, ["group"])
    assert group_metrics["skipped_groups"] == ["few"]
    assert [item["group"] for item in group_metrics["groups"]] == ["many"]
    assert group_metrics["max_gaps"] == {}  # one group has no other to compare with


def test_a_gap_is_none_where_metrics_are_undefined() -> None:
    drawn = {"a": np.full(5, np.nan), "b": np.full(5, 0.5)}
    assert max_group_gap(drawn) == {"value": None, "low": None, "high": None}


def test_binary_tasks_report_the_selection_rate(frame: pl.DataFrame, y: Array) -> None:
    (group_metrics,) = group_metrics_of(frame, np.ones(ROWS, dtype=bool), y, ["group"])
    item = group_metrics["groups"][0]
    inside = (frame["group"] == item["group"]).to_numpy()
    assert item["metrics"]["selection_rate"]["value"] == pytest.approx(y[inside].mean())
    assert group_metrics["metric_titles"]["selection_rate"] == "selection rate"


def test_numbers_are_grouped_by_quartile(frame: pl.DataFrame, y: Array) -> None:
    (group_metrics,) = group_metrics_of(frame, y == 1, y, ["age"])
    assert len(group_metrics["groups"]) == 4
    assert all(abs(item["rows"] - ROWS / 4) < 25 for item in group_metrics["groups"])
    highs = [float(item["group"].split()[-1]) for item in group_metrics["groups"]]
    assert highs == sorted(highs)


def test_regression_has_its_own_group_metrics(frame: pl.DataFrame) -> None:
    draw = np.random.default_rng(5)
    y = draw.normal(size=ROWS)
    values = y + np.where(frame["group"] == "a", 1.0, 0.0)
    task = catalog.load_plugin("tasks", "regression")
    rows = replace(
        make_evaluated(frame, y > 0, (y > 0).astype(int))[0], y=y, task=task, target_spec={}
    )
    predictions = Predictions(values[:, None], values, np.stack([values - 1, values + 1], axis=1))
    settings = ProjectSettings(
        problem=ProblemSettings(target="y", task="regression", sensitive_features=["group"]),
        data=DataSettings.model_validate({"source": "t.csv", "columns": COLUMNS}),
    )
    main = task.metrics[0]
    (group_metrics,) = compute_group_metrics(
        rows, np.arange(ROWS), predictions, main, BootstrapPlan(ROWS, 0, n_resamples=50), settings
    )
    assert list(group_metrics["metric_titles"]) == ["rmse", "mae", "mean_error"]
    gap = group_metrics["max_gaps"]["mean_error"]
    assert gap["highest_group"] == "a"
    assert gap["low"] > 0.9
