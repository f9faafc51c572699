"""Many labels a row: targets as the project reads them, thresholds and regions of each."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array, Json
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.data.splitting import stratification_labels
from fieldcraft.modeling.dataset import parse_target
from fieldcraft.project.settings import ProjectSettings
from fieldcraft.statistics import multilabel_metrics
from fieldcraft.tasks._base import MAX_TARGET_COLUMNS
from fieldcraft.tasks.multilabel import MultilabelTask, to_binary_probabilities

TASK: MultilabelTask = catalog.load_plugin("tasks", "multilabel")
LABELS = ["calm", "happy"]
TARGET_SPEC: Json = {"labels": LABELS}


def build_target(**columns: list[Any]) -> pl.Series:
    """The target as the project reads it from cells."""
    settings = ProjectSettings.model_validate(
        {
            "problem": {"target": list(columns), "task": "multilabel"},
            "data": {
                "source": "t.csv",
                "na_values": ["?"],
                "columns": {name: {"kind": "boolean"} for name in columns},
            },
        }
    )
    return parse_target(pl.DataFrame(columns), settings)


def test_the_labels_of_rows_are_zeros_and_ones() -> None:
    target = build_target(calm=["1", "0", "yes", "no"], happy=["F", "true", "T", "1"])
    assert target.dtype == pl.Struct
    target_spec = TASK.describe(target, {})
    assert target_spec == TARGET_SPEC
    assert TASK.encode(target, target_spec).tolist() == [[1, 0], [0, 1], [1, 1], [0, 1]]
    assert TASK.n_outputs(target_spec) == 2


@pytest.mark.parametrize(
    "cells", [[1, 0, 1], [True, False, True], ["1.0", "0.0", "1"], [1.0, 0.0, 1.0]]
)
def test_yes_and_no_may_be_written_in_many_ways(cells: list[Any]) -> None:
    target = build_target(calm=cells, happy=["no", "Yes", " y "])
    assert TASK.encode(target, TASK.describe(target, {})).tolist() == [[1, 0], [0, 1], [1, 1]]


def test_a_row_without_one_of_its_labels_has_no_target() -> None:
    target = build_target(calm=["1", "?", "0", "1"], happy=["0", "1", "", "1"])
    assert target.is_null().to_list() == [False, True, True, False]
    assert TASK.encode(target.drop_nulls(), TARGET_SPEC).tolist() == [[1, 0], [1, 1]]
    with pytest.raises(DataError, match="some labels are the same in every row") as caught:
        TASK.describe(target, {})  # both rows that are left are calm
    assert caught.value.detail == "calm"


def test_a_cell_that_is_neither_yes_nor_no_is_named() -> None:
    target = build_target(calm=["1", "0", "maybe"], happy=["0", "1", "1"])
    with pytest.raises(
        DataError, match="the label 'calm' has cells that are not booleans"
    ) as caught:
        TASK.describe(target, {})
    assert caught.value.detail == "'maybe'"


def test_rows_are_dealt_out_by_their_labels_together() -> None:
    target = build_target(calm=["1", "0", "1"], happy=["0", "0", "0"])
    strata = stratification_labels(target)
    assert strata[0] == strata[2] != strata[1]


@pytest.mark.parametrize(
    ("columns", "labels"),
    [
        ([[0, 1] * 20, ["yes", "no"] * 20], True),
        ([[0, 1] * 20], False),
        ([[0, 1] * 20, ["a", "b"] * 20], False),
        ([[0, 1] * 20, [0, 1, 2, 3] * 10], False),
        ([[0, 1] * 20, [1] * 40], False),
    ],
)
def test_columns_of_yes_and_no_are_recognized(columns: list[list[Any]], labels: bool) -> None:
    inference = TASK.infer([ColumnProfile(pl.Series("y", cells)) for cells in columns])
    assert (inference is not None) is labels


def sample_outputs(rows: int = 1_500, seed: int = 0, sharp: float = 1.0) -> tuple[Array, Array]:
    """Probabilities of a common and a rare label, too sure if sharp is above 1; the truth."""
    rng = np.random.default_rng(seed)
    p = np.stack([rng.beta(2, 2, rows), rng.beta(1, 6, rows)], axis=1)
    y = (rng.random(p.shape) < p).astype(int)
    odds = (p / (1 - p)) ** sharp
    return odds / (1 + odds), y


def calibrate_via_json(target_spec: Json, outputs: Array, y: Array) -> Json:
    """What calibration finds, as it comes back from disk."""
    calibration: Json = json.loads(
        json.dumps(TASK.calibrate(outputs, y, target_spec), allow_nan=False)
    )
    return calibration


def test_one_temperature_makes_all_labels_honest() -> None:
    outputs, y = sample_outputs(4_000, sharp=3.0)
    result = calibrate_via_json(TARGET_SPEC, outputs, y)
    assert result["temperature"] == pytest.approx(3, rel=0.15)
    np.testing.assert_allclose(
        TASK.apply_calibration(outputs, result), sample_outputs(4_000)[0], atol=0.05
    )
    assert TASK.validation_loss(outputs, y) == pytest.approx(
        TASK.validation_loss(sample_outputs(4_000)[0], y), rel=1e-2
    )


@pytest.mark.parametrize(("threshold", "expected"), [(None, [0.5, 0.5]), (0.3, [0.3, 0.3])])
def test_a_threshold_holds_for_every_label(threshold: float | None, expected: list[float]) -> None:
    outputs, y = sample_outputs()
    target_spec = {**TARGET_SPEC, "threshold": threshold}
    result = calibrate_via_json(target_spec, outputs, y)
    assert result["thresholds"] == expected
    predictions = TASK.predictions_from_outputs(outputs, target_spec, result)
    assert (predictions.decisions == (outputs >= expected[0])).all()


def test_a_metric_chooses_a_threshold_for_each_label_that_serves_new_rows() -> None:
    outputs, y = sample_outputs()
    target_spec = {**TARGET_SPEC, "threshold": "f1"}
    result = calibrate_via_json(target_spec, outputs, y)
    assert result["thresholds"][1] < result["thresholds"][0] < 0.5
    fresh, truth = sample_outputs(seed=1)
    even = np.ones((1, len(truth)))
    chosen, plain = (
        multilabel_metrics.macro_f1(
            truth, TASK.predictions_from_outputs(fresh, target_spec, how), even
        )[0]
        for how in (result, {**result, "thresholds": [0.5, 0.5]})
    )
    assert chosen > plain + 0.05


@pytest.mark.parametrize("coverage", [0.7, 0.9])
def test_regions_hold_the_truth_of_each_label(coverage: float) -> None:
    outputs, y = sample_outputs(3_000)
    target_spec = {**TARGET_SPEC, "coverage": coverage}
    result = calibrate_via_json(target_spec, outputs, y)
    fresh, truth = sample_outputs(6_000, seed=1)
    predictions = TASK.predictions_from_outputs(fresh, target_spec, result)
    assert predictions.coverage == coverage
    held = np.where(truth == 1, predictions.regions[:, :, 1], predictions.regions[:, :, 0]).mean(
        axis=0
    )
    assert (held > coverage - 0.02).all()
    assert held[0] == pytest.approx(coverage, abs=0.03)


def test_the_decision_joins_the_labels_that_apply() -> None:
    outputs = np.array([[0.9, 0.8], [0.2, 0.1], [0.4, 0.6]])
    predictions = TASK.predictions_from_outputs(
        outputs, TARGET_SPEC, {"thresholds": [0.5, 0.5], "set_thresholds": [0.3, 0.3]}
    )
    result = TASK.to_frame(predictions, TARGET_SPEC)
    assert result.columns == ["prediction", "probability_calm", "probability_happy"]
    assert result["prediction"].to_list() == ["calm|happy", "", "happy"]
    assert result["probability_happy"].to_list() == [0.8, 0.1, 0.6]


def test_encoders_may_ask_about_every_label_unless_there_are_too_many() -> None:
    y = np.array([[1, 0], [0, 1]])
    assert TASK.target_indicator_matrix(y, TARGET_SPEC).tolist() == y.tolist()
    many = np.zeros((4, MAX_TARGET_COLUMNS + 1), dtype=int)
    assert TASK.target_indicator_matrix(many, {}).shape == (4, 0)


def test_evidence_tells_the_figures_of_each_label() -> None:
    y = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    outputs = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.3], [0.1, 0.95]])
    predictions = TASK.predictions_from_outputs(
        outputs, TARGET_SPEC, {"thresholds": [0.5, 0.5], "set_thresholds": [0.3, 0.3]}
    )
    result = TASK.diagnostics(y, predictions, TARGET_SPEC)
    assert result["per_class"] == [
        {"class": "calm", "rows": 2, "precision": 2 / 3, "recall": 1.0},
        {"class": "happy", "rows": 2, "precision": 1.0, "recall": 0.5},
    ]
    assert result["largest_errors"] == [1, 2, 0, 3]
    assert sum(point["rows"] for point in result["reliability"]) == y.size
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_pairs_are_no_and_yes_of_one_label_after_the_other() -> None:
    assert to_binary_probabilities(np.array([[0.25, 0.5], [1.0, 0.0]])).tolist() == [
        [0.75, 0.25],
        [0.5, 0.5],
        [0.0, 1.0],
        [1.0, 0.0],
    ]
