"""One of two classes: which counts as yes, and from where on a row is called that."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_curve

from fieldcraft.core import catalog
from fieldcraft.core.types import Array, Json
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.statistics import classification_metrics
from fieldcraft.statistics.metrics import Predictions
from fieldcraft.statistics.thresholds import THRESHOLD_RULES
from fieldcraft.tasks.binary import BinaryTask, compute_roc_points

TASK: BinaryTask = catalog.load_plugin("tasks", "binary")
TARGET_SPEC: Json = {"classes": ["no", "yes"]}


@pytest.mark.parametrize(
    ("cells", "positive"),
    [
        (["no"] * 3 + ["yes"] * 7, "yes"),  # a word for it, though it is the commoner one
        ([1] * 7 + [0] * 3, "1"),
        (["good"] * 3 + ["bad"] * 7, "bad"),
        ([True] * 6 + [False] * 4, "true"),
        (["<=50K"] * 7 + [">50K"] * 3, ">50K"),  # no word for it: the rarer one
        (["spam", "fraud"] + ["spam"] * 3, "fraud"),  # two words for it
        ([1.0] * 7 + [2.0] * 3, "1"),
    ],
)
def test_the_class_that_counts_as_yes_is_guessed(cells: list[Any], positive: str) -> None:
    inference = TASK.infer([ColumnProfile(pl.Series("y", cells))])
    assert inference is not None
    assert inference.options == {"positive_class": positive}
    # The guess fits the classes as the project reads them.
    values = catalog.load_plugin("kinds", "category").parse(pl.Series("y", cells), {})
    assert TASK.describe(values, dict(inference.options))["classes"][-1] == positive


@pytest.mark.parametrize(
    ("labels", "positive", "classes"),
    [
        (["no", "yes"], None, ["no", "yes"]),
        (["no", "yes"], "no", ["yes", "no"]),
        (["10", "9", "9"], None, ["9", "10"]),
        (["b", "a", None], None, ["a", "b"]),
        (["<=50K", ">50K.", "<=50K.", ">50K"], "<=50K", [">50K", "<=50K"]),
    ],
)
def test_the_positive_class_is_the_last(
    labels: list[Any], positive: str | None, classes: list[str]
) -> None:
    target = pl.Series("y", labels)
    target_spec = TASK.describe(target, {"positive_class": positive})
    assert json.loads(json.dumps(target_spec)) == {"classes": classes}
    there = target.drop_nulls()
    expected = [classes.index(label.removesuffix(".")) for label in there]
    assert TASK.encode(there, target_spec).tolist() == expected


def sample_outputs(rows: int = 2_000, seed: int = 0) -> tuple[Array, Array]:
    """Honest probabilities of a rare class, and the truth."""
    rng = np.random.default_rng(seed)
    positive = rng.beta(1, 5, rows)
    return np.stack([1 - positive, positive], axis=1), (rng.random(rows) < positive).astype(int)


def calibrate_and_predict(target_spec: Json, outputs: Array, y: Array) -> Predictions:
    """Calibrate on rows and read the same rows, with what stands between on disk."""
    calibration = json.loads(json.dumps(TASK.calibrate(outputs, y, target_spec), allow_nan=False))
    return TASK.predictions_from_outputs(
        TASK.apply_calibration(outputs, calibration), target_spec, calibration
    )


def test_without_a_threshold_the_likelier_class_is_decided() -> None:
    outputs, y = sample_outputs()
    predictions = calibrate_and_predict(TARGET_SPEC, outputs, y)
    assert (predictions.decisions == (outputs[:, 1] > 0.5)).all()


def test_a_threshold_of_the_file_is_kept() -> None:
    outputs, y = sample_outputs()
    predictions = calibrate_and_predict({**TARGET_SPEC, "threshold": 0.2}, outputs, y)
    assert (predictions.decisions == (predictions.outputs[:, 1] >= 0.2)).all()
    assert (
        predictions.decisions.sum()
        > 1.5 * calibrate_and_predict(TARGET_SPEC, outputs, y).decisions.sum()
    )


@pytest.mark.parametrize("rule", THRESHOLD_RULES)
def test_a_threshold_that_is_chosen_serves_its_metric_on_new_rows_too(rule: str) -> None:
    metric = {metric.name: metric for metric in TASK.metrics}[rule]
    outputs, y = sample_outputs()
    target_spec = {**TARGET_SPEC, "threshold": rule}
    calibration = TASK.calibrate(outputs, y, target_spec)
    fresh, truth = sample_outputs(seed=1)
    even = np.ones((1, len(truth)))
    result, plain = (
        metric.compute(truth, TASK.predictions_from_outputs(fresh, target_spec, how), even)[0]
        for how in (calibration, {**calibration, "threshold": None})
    )
    assert result > plain - 0.005
    if rule != "accuracy":  # which 0.5 serves best already
        assert result > plain + 0.015
        assert calibration["threshold"] < 0.4


def test_costs_go_before_a_threshold() -> None:
    outputs, y = sample_outputs()
    target_spec = {**TARGET_SPEC, "threshold": 0.9, "costs": {"yes": {"no": 9.0}}}
    predictions = calibrate_and_predict(target_spec, outputs, y)
    assert (predictions.decisions == (predictions.outputs[:, 1] > 0.1)).all()


def test_tune_rows_of_one_class_give_the_threshold_of_even_odds() -> None:
    outputs, _ = sample_outputs(20)
    target_spec = {**TARGET_SPEC, "threshold": "f1"}
    assert TASK.calibrate(outputs, np.zeros(20, dtype=int), target_spec)["threshold"] == 0.5


def test_sets_hold_the_truth_at_the_rate_the_file_asks_for() -> None:
    outputs, y = sample_outputs(4_000)
    target_spec = {**TARGET_SPEC, "coverage": 0.95}
    calibration = TASK.calibrate(outputs, y, target_spec)
    fresh, truth = sample_outputs(20_000, seed=1)
    predictions = TASK.predictions_from_outputs(fresh, target_spec, calibration)
    covered = classification_metrics.set_coverage(truth, predictions, np.ones((1, len(truth))))[0]
    assert covered == pytest.approx(0.95, abs=0.012)
    assert predictions.coverage == 0.95


def test_the_roc_curve_is_that_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    y, score = draw.integers(0, 2, 400), draw.integers(0, 30, 400) / 30
    expected = np.stack(roc_curve(y, score, drop_intermediate=False)[:2], axis=1)
    np.testing.assert_allclose(compute_roc_points(y, score), expected)
    fine = np.array(compute_roc_points(draw.integers(0, 2, 5_000), draw.random(5_000)))
    assert len(fine) <= 101
    assert fine[0].tolist() == [0, 0]
    assert fine[-1].tolist() == [1, 1]
    assert (np.diff(fine, axis=0) >= 0).all()


def test_evidence_is_about_the_positive_class() -> None:
    outputs, y = sample_outputs()
    result = TASK.diagnostics(
        y, calibrate_and_predict({**TARGET_SPEC, "threshold": 0.2}, outputs, y), TARGET_SPEC
    )
    assert {"classes", "confusion_matrix", "per_class", "largest_errors", "roc_curve"} < set(result)
    curve = result["threshold_curve"]
    assert curve[0]["threshold"] > curve[-1]["threshold"]
    rows = sum(point["rows"] for point in result["reliability"])
    happened = sum(point["rows"] * point["observed"] for point in result["reliability"])
    assert (rows, happened) == (len(y), pytest.approx(y.sum()))
    at = next(point for point in result["per_class"] if point["class"] == "yes")
    assert at["recall"] > 0.5
