"""Classes in an order: from the project file, or by their numbers."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Json
from fieldcraft.statistics.calibration import apply_temperature
from fieldcraft.tasks.ordinal import OrdinalTask, is_number

TASK: OrdinalTask = catalog.load_plugin("tasks", "ordinal")
TARGET_SPEC: Json = {"classes": ["low", "middle", "high"]}
GRADES = pl.Series("grade", ["high", "low", None, "middle", "low"])


def test_words_stand_in_the_order_of_the_file() -> None:
    target_spec = TASK.describe(GRADES, {"class_order": ["low", "middle", "high"]})
    assert target_spec == TARGET_SPEC
    assert TASK.encode(GRADES.drop_nulls(), target_spec).tolist() == [2, 0, 1, 0]


def test_classes_of_the_order_that_no_row_has_are_left_out() -> None:
    order = ["none", "low", "middle", "high", "extreme"]
    assert TASK.describe(GRADES, {"class_order": order}) == TARGET_SPEC


def test_numbers_need_no_order_and_may_have_one() -> None:
    target = pl.Series("y", ["10", "9", "-1", "2.5"])
    assert TASK.describe(target, {})["classes"] == ["-1", "2.5", "9", "10"]
    turned = ["10", "9", "2.5", "-1"]
    assert TASK.describe(target, {"class_order": turned})["classes"] == turned


@pytest.mark.parametrize("problem", [{}, {"class_order": []}, {"class_order": ["low", "high"]}])
def test_words_without_a_place_are_named(problem: Json) -> None:
    with pytest.raises(DataError, match="the order of the classes is not known") as caught:
        TASK.describe(GRADES, problem)
    lacking = "middle" if problem.get("class_order") else "high, low, middle"
    assert caught.value.detail == f"not in the order: {lacking}"
    assert "problem.class_order" in caught.value.hint


def test_words_among_numbers_need_an_order() -> None:
    with pytest.raises(DataError, match="the order of the classes"):
        TASK.describe(pl.Series(["1", "2", "many"]), {})
    assert [is_number(text) for text in ("1", "-2.5", "1e3", "nan", "inf", "x", "")] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip


def test_a_positive_class_does_not_break_the_order() -> None:
    problem = {"class_order": ["low", "middle", "high"], "positive_class": "low"}
    assert TASK.describe(GRADES, problem) == TARGET_SPEC


def test_an_order_that_spells_classes_with_and_without_a_full_stop_is_one() -> None:
    target = pl.Series("y", ["low.", "low", "high", "high."])
    target_spec = TASK.describe(target, {"class_order": ["low", "high"]})
    assert TASK.encode(target, target_spec).tolist() == [0, 0, 1, 1]


def test_target_means_are_taken_of_the_step_itself() -> None:
    assert TASK.target_indicator_matrix(np.array([0, 2, 1]), TARGET_SPEC).tolist() == [
        [0.0],
        [2.0],
        [1.0],
    ]


@pytest.mark.parametrize(
    ("outputs", "decided"),
    [
        ([0.4, 0.2, 0.4], 1),  # likeliest at both ends: the middle errs least
        ([0.5, 0.1, 0.4], 0),
        ([0.3, 0.25, 0.45], 1),
        ([0.1, 0.3, 0.6], 2),
        ([0.0, 0.0, 0.0], 2),  # nonsense, yet within the classes
    ],
)
def test_the_middle_of_what_is_predicted_is_decided(outputs: list[float], decided: int) -> None:
    predictions = TASK.predictions_from_outputs(
        np.array([outputs]), TARGET_SPEC, {"set_threshold": 0.3}
    )
    assert predictions.decisions.tolist() == [decided]


def test_the_decision_has_the_least_expected_steps() -> None:
    outputs = np.random.default_rng(0).dirichlet(np.ones(5), 200)
    target_spec = {"classes": [*"abcde"]}
    predictions = TASK.predictions_from_outputs(outputs, target_spec, {"set_threshold": 0.3})
    steps = np.abs(np.arange(5)[:, None] - np.arange(5))
    expected = outputs @ steps
    chosen = expected[np.arange(200), predictions.decisions]
    np.testing.assert_allclose(chosen, expected.min(axis=1), atol=1e-12)
    assert (
        TASK.to_frame(predictions, target_spec)["prediction"][0]
        == target_spec["classes"][predictions.decisions[0]]
    )


def test_costs_go_before_the_middle() -> None:
    target_spec = {**TARGET_SPEC, "costs": {"high": {"low": 50, "middle": 50}}}
    predictions = TASK.predictions_from_outputs(
        np.array([[0.6, 0.3, 0.1]]), target_spec, {"set_threshold": 0.3}
    )
    assert predictions.decisions.tolist() == [2]


def test_the_loss_that_stops_training_minds_how_far_off_a_model_is() -> None:
    y = np.repeat([0, 1, 2], 40)
    near, far = np.eye(3)[(y + (y < 2)) % 3], np.eye(3)[2 - y]
    truth = np.eye(3)[y]
    losses = [TASK.validation_loss(0.4 * truth + 0.6 * miss, y) for miss in (near, far)]
    assert losses[0] < losses[1]


def test_the_loss_that_stops_training_does_not_mind_how_sure_a_model_sounds() -> None:
    draw = np.random.default_rng(0)
    honest = draw.dirichlet(np.ones(3), 2_000)
    y = np.minimum((honest.cumsum(axis=1) < draw.random((2_000, 1))).sum(axis=1), 2)
    losses = [TASK.validation_loss(apply_temperature(honest, t), y) for t in (0.3, 1.0, 3.0)]
    for one, other in itertools.pairwise(losses):
        assert one == pytest.approx(other, rel=1e-2)
