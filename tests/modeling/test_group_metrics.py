"""What a model does to groups: a planted gap is found, equal groups have none for sure."""

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
    """Rows, and a model that is right where it is said to be."""
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
    rows, said = make_evaluated(frame, right, y)
    settings = ProjectSettings(
        problem=ProblemSettings(target="y", task="binary", sensitive_features=names),
        data=DataSettings.model_validate({"source": "t.csv", "columns": COLUMNS}),
    )
    draw = BootstrapPlan(len(y), 3, n_resamples=400)
    return compute_group_metrics(rows, np.arange(len(y)), said, ACCURACY, draw, settings)


@pytest.fixture
def frame() -> pl.DataFrame:
    draw = np.random.default_rng(0)
    group = draw.choice(["a", "b", "c"], ROWS)
    return pl.DataFrame({"group": group, "age": draw.normal(40, 10, ROWS).round(1).astype(str)})


@pytest.fixture
def y() -> Array:
    return np.random.default_rng(1).integers(0, 2, ROWS)


def test_without_groups_in_the_file_there_is_nothing_to_tell(frame: pl.DataFrame, y: Array) -> None:
    assert group_metrics_of(frame, y == 1, y, []) == []


def test_a_planted_gap_is_found_between_the_right_groups(frame: pl.DataFrame, y: Array) -> None:
    draw = np.random.default_rng(2)
    rate = frame["group"].replace_strict({"a": 0.9, "b": 0.8, "c": 0.6}).to_numpy()
    (found,) = group_metrics_of(frame, draw.random(ROWS) < rate, y, ["group"])
    gap = found["max_gaps"]["accuracy"]
    assert (gap["highest_group"], gap["lowest_group"]) == ("a", "c")
    assert 0.15 < gap["low"] < gap["value"] < gap["high"]
    figures = {item["group"]: item["metrics"]["accuracy"]["value"] for item in found["groups"]}
    assert gap["value"] == pytest.approx(figures["a"] - figures["c"])
    assert sum(item["rows"] for item in found["groups"]) == ROWS


def test_equal_groups_show_no_gap_for_sure(frame: pl.DataFrame, y: Array) -> None:
    """Of 30 tables without any gap, hardly one may show one for sure."""
    sure = 0
    for seed in range(30):
        right = np.random.default_rng(100 + seed).random(ROWS) < 0.8
        (found,) = group_metrics_of(frame, right, y, ["group"])
        gap = found["max_gaps"]["accuracy"]
        assert gap["value"] >= 0
        sure += gap["low"] > 0
    assert sure <= 4


def test_a_gap_picked_among_more_pairs_has_a_wider_interval() -> None:
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


def test_groups_of_too_few_rows_are_named_and_not_measured(y: Array) -> None:
    few = MIN_ROWS_PER_GROUP - 1
    frame = pl.DataFrame({"group": ["few"] * few + ["many"] * (ROWS - few), "age": ["1"] * ROWS})
    (found,) = group_metrics_of(frame, y == 1, y, ["group"])
    assert found["skipped_groups"] == ["few"]
    assert [item["group"] for item in found["groups"]] == ["many"]
    assert found["max_gaps"] == {}  # one group has nobody to differ from


def test_a_gap_is_unknown_where_figures_are_not_defined() -> None:
    drawn = {"a": np.full(5, np.nan), "b": np.full(5, 0.5)}
    assert max_group_gap(drawn) == {"value": None, "low": None, "high": None}


def test_who_is_decided_positive_is_told_of_two_classes(frame: pl.DataFrame, y: Array) -> None:
    (found,) = group_metrics_of(frame, np.ones(ROWS, dtype=bool), y, ["group"])
    item = found["groups"][0]
    inside = (frame["group"] == item["group"]).to_numpy()
    assert item["metrics"]["selection_rate"]["value"] == pytest.approx(y[inside].mean())
    assert found["metric_titles"]["selection_rate"] == "selection rate"


def test_numbers_are_cut_into_quarters_in_their_order(frame: pl.DataFrame, y: Array) -> None:
    (found,) = group_metrics_of(frame, y == 1, y, ["age"])
    assert len(found["groups"]) == 4
    assert all(abs(item["rows"] - ROWS / 4) < 25 for item in found["groups"])
    highs = [float(item["group"].split()[-1]) for item in found["groups"]]
    assert highs == sorted(highs)


def test_other_tasks_have_figures_of_their_own(frame: pl.DataFrame) -> None:
    draw = np.random.default_rng(5)
    y = draw.normal(size=ROWS)
    values = y + np.where(frame["group"] == "a", 1.0, 0.0)
    task = catalog.load_plugin("tasks", "regression")
    rows = replace(
        make_evaluated(frame, y > 0, (y > 0).astype(int))[0], y=y, task=task, target_spec={}
    )
    said = Predictions(values[:, None], values, np.stack([values - 1, values + 1], axis=1))
    settings = ProjectSettings(
        problem=ProblemSettings(target="y", task="regression", sensitive_features=["group"]),
        data=DataSettings.model_validate({"source": "t.csv", "columns": COLUMNS}),
    )
    main = task.metrics[0]
    (found,) = compute_group_metrics(
        rows, np.arange(ROWS), said, main, BootstrapPlan(ROWS, 0, n_resamples=50), settings
    )
    assert list(found["metric_titles"]) == ["rmse", "mae", "mean_error"]
    gap = found["max_gaps"]["mean_error"]
    assert gap["highest_group"] == "a"
    assert gap["low"] > 0.9
