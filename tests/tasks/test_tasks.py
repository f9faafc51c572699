"""What targets are taken for, and what each task makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_curve

from fieldcraft.contracts import Task
from fieldcraft.core import catalogue
from fieldcraft.core.errors import DataError
from fieldcraft.data.look import Look
from fieldcraft.evidence.metrics import LOG_LOSS
from fieldcraft.stages.init import guess_task
from fieldcraft.tasks.binary import roc_points

BINARY, MULTICLASS, REGRESSION = (
    catalogue.load("tasks", name) for name in ("binary", "multiclass", "regression")
)
ROWS = 200
DRAW = np.random.default_rng(0)
AMOUNTS = DRAW.normal(100, 20, ROWS)


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (["yes", "no"] * 100, "binary"),
        ([0, 1] * 100, "binary"),
        ([True, False] * 100, "binary"),
        (["a", "b", "c", "d"] * 50, "multiclass"),
        ([str(i % 5) for i in range(ROWS)], "multiclass"),
        ([i % 5 for i in range(ROWS)], "multiclass"),
        ([i % 11 for i in range(ROWS)], "regression"),  # too many to be names
        ([(i % 5) / 2 for i in range(ROWS)], "regression"),
        (AMOUNTS.tolist(), "regression"),
        ([f"{v:.2f}" for v in AMOUNTS], "regression"),
    ],
)
def test_a_target_asks_for_what_its_values_suggest(target: list[Any], task: str) -> None:
    assert guess_task(Look(pl.Series("y", target)), None).name == task


@pytest.mark.parametrize("target", [["x"] * ROWS, [None] * ROWS, [f"k{i}" for i in range(ROWS)]])
def test_a_target_that_nothing_can_be_learned_of_is_refused(target: list[Any]) -> None:
    with pytest.raises(DataError, match="the target 'y' cannot be predicted as it is"):
        guess_task(Look(pl.Series("y", target)), None)


@pytest.mark.parametrize("task", [BINARY, MULTICLASS, REGRESSION], ids=lambda task: task.name)
@pytest.mark.parametrize("target", [[1.0] * 5, [None] * 5])
def test_a_target_of_one_value_is_nothing_to_learn(task: Task, target: list[Any]) -> None:
    with pytest.raises(DataError, match="nothing to learn"):
        task.describe(pl.Series("y", target, dtype=pl.Float64), None)


@pytest.mark.parametrize(
    ("labels", "positive", "classes"),
    [
        (["no", "yes"], None, ["no", "yes"]),
        (["no", "yes"], "no", ["yes", "no"]),
        (["10", "9", "2"], None, ["2", "9", "10"]),
        (["b", "a", None], None, ["a", "b"]),
    ],
)
def test_classes_stand_in_natural_order_with_the_positive_one_last(
    labels: list[Any], positive: str | None, classes: list[str]
) -> None:
    assert BINARY.describe(pl.Series("y", labels), positive) == {"classes": classes}


def test_a_positive_class_that_no_row_has_is_refused_with_those_there_are() -> None:
    with pytest.raises(DataError, match=r"(?s)positive class 'ja'.*classes: no, yes"):
        BINARY.describe(pl.Series("y", ["no", "yes"]), "ja")


def test_labels_become_indexes_and_unknown_ones_are_refused() -> None:
    about = {"classes": ["no", "yes"]}
    assert BINARY.encode(pl.Series("y", ["yes", "no"]), about).tolist() == [1, 0]
    with pytest.raises(DataError, match=r"(?s)label that the model does not know.*'maybe'"):
        BINARY.encode(pl.Series("y", ["yes", "maybe"]), about)


def test_target_means_are_taken_of_every_class_but_the_first_unless_there_are_too_many() -> None:
    y = np.arange(30) % 3
    columns = MULTICLASS.columns(y, {"classes": ["a", "b", "c"]})
    assert columns.tolist() == [[float(k == 1), float(k == 2)] for k in y]
    assert MULTICLASS.columns(y, {"classes": [str(i) for i in range(50)]}).shape == (30, 0)


def test_the_likeliest_class_is_decided() -> None:
    outputs = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])
    decided = MULTICLASS.decide(outputs, {"classes": ["a", "b", "c"]})
    assert decided["prediction"].to_list() == ["b", "a"]
    assert decided["probability_c"].to_list() == [0.2, 0.3]


def overconfident() -> tuple[Any, Any]:
    """Probabilities that are too sure of themselves, with the truth."""
    logit = DRAW.normal(size=2_000)
    y = (DRAW.random(2_000) < 1 / (1 + np.exp(-logit))).astype(int)
    positive = 1 / (1 + np.exp(-4 * logit))
    return np.stack([1 - positive, positive], axis=1), y


def test_calibration_makes_probabilities_that_are_too_sure_honest() -> None:
    outputs, y = overconfident()
    calibration = BINARY.calibrate(outputs, y)
    assert calibration["temperature"] == pytest.approx(4, rel=0.25)
    weights = np.ones((1, len(y)))
    honest = BINARY.calibrated(outputs, calibration)
    before, after = (LOG_LOSS.values(y, o, weights)[0] for o in (outputs, honest))
    assert after < 0.75 * before
    assert (honest.argmax(axis=1) == outputs.argmax(axis=1)).all()


def test_stopping_looks_at_how_well_classes_are_told_apart_not_at_how_sure_outputs_are() -> None:
    outputs, y = overconfident()
    honest = BINARY.calibrated(outputs, {"temperature": 4.0})
    one, other = (BINARY.validation_loss(o, y) for o in (outputs, honest))
    assert one == pytest.approx(other, rel=1e-3)


def test_amounts_are_standardised_and_predictions_kept_near_the_training_range() -> None:
    scale = REGRESSION.scale(AMOUNTS)
    scaled = REGRESSION.scaled(AMOUNTS, scale)
    assert (scaled.mean(), scaled.std()) == pytest.approx((0, 1))
    low, high = AMOUNTS.min(), AMOUNTS.max()
    edge = 0.05 * (high - low)
    found = REGRESSION.unscaled(np.array([[-1e9], [0.0], [1e9]]), scale)
    assert found[:, 0] == pytest.approx([low - edge, AMOUNTS.mean(), high + edge])


def test_equal_amounts_scale_without_a_division_by_zero() -> None:
    scale = REGRESSION.scale(np.full(5, 3.0))
    assert REGRESSION.scaled(np.full(5, 3.0), scale).tolist() == [0.0] * 5


def test_values_are_not_calibrated() -> None:
    outputs = AMOUNTS[:, None]
    assert REGRESSION.calibrate(outputs, AMOUNTS) == {}
    assert REGRESSION.calibrated(outputs, {}) is outputs


def test_the_roc_curve_is_that_of_scikit_learn() -> None:
    y, score = DRAW.integers(0, 2, 400), DRAW.integers(0, 30, 400) / 30
    wanted = np.stack(roc_curve(y, score, drop_intermediate=False)[:2], axis=1)
    np.testing.assert_allclose(roc_points(y, score), wanted)
    fine = np.array(roc_points(DRAW.integers(0, 2, 5_000), DRAW.random(5_000)))
    assert len(fine) <= 101
    assert fine[0].tolist() == [0, 0]
    assert fine[-1].tolist() == [1, 1]
    assert (np.diff(fine, axis=0) >= 0).all()


@pytest.mark.parametrize("task", [BINARY, MULTICLASS], ids=lambda task: task.name)
def test_evidence_of_classes_counts_decisions_and_shows_the_worst_rows(task: Task) -> None:
    y = np.array([0, 0, 1, 1])
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    found = task.evidence(y, outputs, {"classes": ["a", "b"]})
    assert found["confusion"] == [[1, 1], [0, 2]]
    assert found["per_class"][1] == {"class": "b", "rows": 2, "precision": 2 / 3, "recall": 1.0}
    assert found["worst"] == [1, 2, 3, 0]
    assert sum(point["rows"] for point in found["reliability"]) == 4


def test_evidence_of_amounts_shows_errors() -> None:
    errors = np.zeros(ROWS)
    errors[17] = 50.0
    found = REGRESSION.evidence(AMOUNTS, (AMOUNTS + errors)[:, None], {})
    assert found["worst"][0] == 17
    assert found["error_quantiles"]["0.5"] == 0
    assert [AMOUNTS[17], AMOUNTS[17] + 50] in found["scatter"]
