"""Labels, decisions and tables are the same for two classes and for many."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.statistics.calibration import fit_temperature
from fieldcraft.tasks._base import (
    DEFAULT_COVERAGE,
    MAX_TARGET_COLUMNS,
    ClassificationTask,
    confusion_matrix,
    cost_matrix,
    join_selected_labels,
    largest_error_rows,
    per_class_metrics,
    rejection_curve,
    sort_labels,
)

TASK = ClassificationTask()
ABOUT: dict[str, Any] = {"classes": ["no", "yes"]}
THREE: dict[str, Any] = {"classes": ["a", "b", "c"]}


@pytest.mark.parametrize(
    "labels",
    [
        ["9", "10", "11"],
        ["-1", "0", "0.5", "2"],
        ["2", "10", "a", "b"],
        ["1", "2", "inf", "nan"],  # words, though Python reads them as numbers
        ["1", "1.0"],
    ],
)
def test_labels_come_in_the_order_a_person_expects_however_they_are_met(labels: list[str]) -> None:
    for met in itertools.permutations(labels):
        assert sort_labels(met) == labels


def test_classes_are_described_in_order_with_the_positive_one_last() -> None:
    target = pl.Series("bought", ["yes", "no", None, "yes"])
    assert TASK.describe(target, {}) == {"classes": ["no", "yes"]}
    assert TASK.describe(target, {"positive_class": "no"}) == {"classes": ["yes", "no"]}
    assert TASK.describe(pl.Series([10, 9]), {}) == {"classes": ["9", "10"]}


@pytest.mark.parametrize(
    ("cells", "seen"), [(["yes", "yes", None], "yes"), ([None, None], "no value")]
)
def test_a_target_of_one_class_cannot_be_learned(cells: list[str | None], seen: str) -> None:
    with pytest.raises(DataError, match="fewer than two classes") as caught:
        TASK.describe(pl.Series("bought", cells, dtype=pl.String), {"positive_class": "yes"})
    assert caught.value.detail == f"column 'bought': {seen}"


def test_a_positive_class_that_no_row_has_is_named() -> None:
    with pytest.raises(
        DataError, match=r"no row has the class 'yse' that problem\.positive"
    ) as caught:
        TASK.describe(pl.Series(["yes", "no"]), {"positive_class": "yse"})
    assert caught.value.detail == "classes: no, yes"
    assert "did you mean 'yes'?" in caught.value.hint


def test_a_full_stop_after_a_label_does_not_make_another_class_of_it() -> None:
    target = pl.Series("income", ["<=50K", ">50K.", "<=50K.", ">50K", "<=50K"])
    target_spec = TASK.describe(target, {})
    assert target_spec == {"classes": ["<=50K", ">50K"]}
    assert TASK.encode(target, target_spec).tolist() == [0, 1, 0, 1, 0]
    # Where all labels end in one, or none goes without, they stay as they are.
    stopped = pl.Series("y", ["a.", "b.", "c"])
    assert TASK.describe(stopped, {}) == {"classes": ["a.", "b.", "c"]}
    assert TASK.encode(stopped, {"classes": ["a.", "b.", "c"]}).tolist() == [0, 1, 2]
    with pytest.raises(DataError, match="fewer than two classes"):
        TASK.describe(pl.Series(["a", "a."]), {})


def test_labels_become_indexes_into_the_classes() -> None:
    assert TASK.encode(pl.Series(["yes", "no", "yes"]), ABOUT).tolist() == [1, 0, 1]
    assert TASK.encode(pl.Series([10, 9]), {"classes": ["9", "10"]}).tolist() == [1, 0]


@pytest.mark.parametrize("cell", ["Yes", "yes..", ".", None])
def test_a_label_that_the_model_does_not_know_is_named(cell: str | None) -> None:
    with pytest.raises(DataError, match="a label that the model does not know") as caught:
        TASK.encode(pl.Series("bought", ["yes", cell]), ABOUT)
    assert caught.value.detail == f"{cell!r} in column 'bought'"
    assert caught.value.hint == "use the labels 'no', 'yes'"


def test_class_indexes_are_not_scaled() -> None:
    y, outputs = np.array([0, 1]), np.eye(2)
    assert TASK.scale_target(y, TASK.fit_target_scale(y)) is y
    assert TASK.unscale_outputs(outputs, TASK.fit_target_scale(y)) is outputs


def test_target_means_are_taken_of_every_class_but_the_first() -> None:
    y = np.array([0, 1, 2, 1])
    assert TASK.target_indicator_matrix(y, THREE).tolist() == [[0, 0], [1, 0], [0, 1], [1, 0]]
    many = [str(i) for i in range(MAX_TARGET_COLUMNS + 1)]
    assert TASK.target_indicator_matrix(y, {"classes": many[:-1]}).shape == (
        4,
        MAX_TARGET_COLUMNS - 1,
    )
    assert TASK.target_indicator_matrix(y, {"classes": many}).shape == (4, 0)


def test_there_is_one_output_for_each_class() -> None:
    assert (TASK.n_outputs(ABOUT), TASK.n_outputs(THREE)) == (2, 3)


OUTPUTS = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], dtype=np.float32)


def test_the_decision_is_the_likeliest_class_beside_all_probabilities_and_the_set() -> None:
    predictions = TASK.predictions_from_outputs(OUTPUTS, THREE, {"set_threshold": 0.3})
    assert (predictions.decisions.tolist(), predictions.coverage) == ([1, 0], DEFAULT_COVERAGE)
    result = TASK.to_frame(predictions, THREE)
    assert result.columns == [
        "prediction",
        "probability_a",
        "probability_b",
        "probability_c",
        "prediction_set",
    ]
    assert result["prediction"].to_list() == ["b", "a"]
    assert result["probability_c"].to_list() == pytest.approx([0.3, 0.1])
    assert result["prediction_set"].to_list() == ["b|c", "a|b"]
    nothing = TASK.predictions_from_outputs(np.zeros((0, 3)), THREE, {"set_threshold": 0.3})
    assert TASK.to_frame(nothing, THREE).height == 0


def test_the_least_sure_rows_may_be_rejected() -> None:
    draw = np.random.default_rng(0)
    outputs = draw.dirichlet([0.3] * 3, 2_000)
    y = np.array([draw.choice(3, p=row) for row in outputs])
    target_spec = {**THREE, "reject_fraction": 0.1}
    fitted = TASK.calibrate(outputs[:1_000], y[:1_000], target_spec)
    new = TASK.apply_calibration(outputs[1_000:], fitted)
    predictions = TASK.predictions_from_outputs(new, target_spec, fitted)
    assert predictions.accepted is not None
    assert 0.87 < predictions.accepted.mean() < 0.93
    assert new.max(1)[predictions.accepted].min() > new.max(1)[~predictions.accepted].max()
    assert (
        TASK.to_frame(predictions, target_spec)["confident"].to_list()
        == predictions.accepted.tolist()
    )
    assert TASK.predictions_from_outputs(new, THREE, {"set_threshold": 0.3}).accepted is None
    part = predictions.select_rows(np.arange(5))
    assert part.accepted is not None
    assert part.accepted.tolist() == predictions.accepted[:5].tolist()


def test_decisions_are_right_more_often_without_the_least_sure() -> None:
    outputs = np.array([[0.9, 0.05, 0.05], [0.8, 0.1, 0.1], [0.4, 0.35, 0.25], [0.5, 0.3, 0.2]])
    predictions = TASK.predictions_from_outputs(outputs, THREE, {"set_threshold": 0.3})
    result = {
        item["reject_fraction"]: item["accuracy"]
        for item in rejection_curve(np.array([0, 0, 1, 0]), predictions)
    }
    assert result[0.0] == 0.75
    assert result[0.2] == result[0.5] == 1.0


def test_costs_move_the_decision_and_not_the_probabilities_or_the_set() -> None:
    target_spec = {**THREE, "costs": {"c": {"a": 9, "b": 9}}, "coverage": 0.8}
    plain, predictions = (
        TASK.predictions_from_outputs(OUTPUTS, target_spec, {"set_threshold": 0.3})
        for target_spec in (THREE, target_spec)
    )
    assert predictions.decisions.tolist() == [2, 2]
    assert (predictions.regions == plain.regions).all()
    assert predictions.outputs is OUTPUTS
    assert predictions.coverage == 0.8


def test_what_is_not_said_of_a_mistake_costs_one() -> None:
    assert cost_matrix({}, ["a", "b"]) is None
    assert cost_matrix({"b": {"a": 5, "b": 0.5}}, ["a", "b"]) == [[0, 1], [5, 0.5]]


@pytest.mark.parametrize(
    ("costs", "message", "seen"),
    [
        ({"d": {"a": 1}}, "no row has the class 'd' that problem.costs names", "classes: a, b, c"),
        ({"a": {"d": 1}}, "no row has the class 'd' that problem.costs names", "classes: a, b, c"),
        ({"a": {"b": -1}}, "a cost is below 0", "problem.costs: -1"),
    ],
)
def test_costs_that_make_no_sense_are_refused_before_training(
    costs: dict[str, dict[str, float]], message: str, seen: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        TASK.describe(pl.Series([*"abc"]), {"costs": costs})
    assert caught.value.detail == seen


def test_labels_are_joined_where_they_are_chosen() -> None:
    chosen = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    assert join_selected_labels(chosen, ["x", "y", "x"]).to_list() == ["x|x", "", "y"]
    assert join_selected_labels(chosen[:0], [*"abc"]).to_list() == []


def test_calibration_takes_back_what_a_boasting_model_says_too_much() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 2_000)
    called = np.where(generator.random(2_000) < 0.8, y, 1 - y)  # right four times in five
    outputs = np.where(np.eye(2)[called] == 1, 0.99, 0.01)
    result = TASK.calibrate(outputs, y, {"coverage": 0.7})
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    calibrated = TASK.apply_calibration(outputs, result)
    assert calibrated.max(axis=1).mean() == pytest.approx(0.8, abs=0.03)
    # Right in four of five rows, one class is enough to hold the truth in seven of ten.
    assert TASK.predictions_from_outputs(calibrated, ABOUT, result).regions.sum(axis=1).max() == 1
    wide = TASK.calibrate(outputs, y, {"coverage": 0.9})
    assert TASK.predictions_from_outputs(calibrated, ABOUT, wide).regions.all()
    assert TASK.validation_loss(outputs, y) == pytest.approx(0.5, abs=0.03)


def test_the_validation_loss_does_not_depend_on_how_sure_a_model_sounds() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 500)
    timid = 0.5 + np.clip((y - 0.5) * 0.1 + generator.normal(0, 0.05, 500), -0.2, 0.2)
    modest = np.column_stack([1 - timid, timid])
    sure = TASK.apply_calibration(modest, {"temperature": 0.5})
    assert TASK.validation_loss(sure, y) == pytest.approx(TASK.validation_loss(modest, y), rel=0.02)


def test_row_weights_reach_all_that_is_fitted_on_outputs() -> None:
    draw = np.random.default_rng(0)
    outputs = draw.dirichlet([0.5] * 3, 300)
    y = np.array([draw.choice(3, p=row) for row in outputs])
    y[:150] = draw.integers(0, 3, 150)  # the first half is noise, and weighs next to nothing
    weights = np.repeat([1e-9, 2.0], 150)
    target_spec = {**THREE, "reject_fraction": 0.2, "coverage": 0.8}
    result, plain = (
        TASK.calibrate(outputs, y, target_spec, weights),
        TASK.calibrate(outputs, y, target_spec),
    )
    assert result["temperature"] == pytest.approx(fit_temperature(outputs, y, weights))
    assert plain["temperature"] > 1.3 * result["temperature"]
    scaled = TASK.apply_calibration(outputs, result)
    truth, sure = np.sort(scaled[150:][np.arange(150), y[150:]]), np.sort(scaled[150:].max(axis=1))
    # Of 150 rows of weight two and a new one of weight one, a fifth lies below.
    assert result["set_threshold"] == pytest.approx(truth[150 - round(0.8 * 150.5 + 0.5)])
    assert result["reject_threshold"] == pytest.approx(sure[150 - round(0.8 * 150.5 + 0.5)])
    assert plain["set_threshold"] != pytest.approx(result["set_threshold"], rel=0.05)
    losses = -np.log(TASK.apply_calibration(outputs, {"temperature": result["temperature"]}))
    expected = np.average(losses[np.arange(300), y], weights=weights)
    assert TASK.validation_loss(outputs, y, weights) == pytest.approx(expected, rel=1e-3)
    assert TASK.validation_loss(outputs, y) > 1.2 * expected


def test_the_set_is_that_of_the_calibrated_probabilities() -> None:
    y, outputs = np.array([0] * 8 + [1] * 2), np.tile([0.99, 0.01], (10, 1))
    result = TASK.calibrate(outputs, y, {"classes": ["a", "b"], "coverage": 0.5})
    assert result["temperature"] > 1.5
    assert result["set_threshold"] == pytest.approx(TASK.apply_calibration(outputs, result)[0, 0])


def test_rows_that_are_as_sure_as_the_limit_are_accepted_but_for_rounding() -> None:
    outputs = np.array([[0.7, 0.2, 0.1], [0.69, 0.2, 0.11], [0.7 - 1e-8, 0.2, 0.1 + 1e-8]])
    predictions = TASK.predictions_from_outputs(
        outputs, THREE, {"set_threshold": 0.3, "reject_threshold": 0.7}
    )
    assert predictions.accepted is not None
    assert predictions.accepted.tolist() == [True, False, True]


def test_the_reliability_is_that_of_the_likeliest_class_whatever_is_decided() -> None:
    outputs = np.array([[0.8, 0.2]] * 4)
    target_spec = {**ABOUT, "costs": {"yes": {"no": 19}}}
    predictions = TASK.predictions_from_outputs(outputs, target_spec, {"set_threshold": 0.0})
    assert predictions.decisions.tolist() == [1] * 4
    (point,) = TASK.diagnostics(np.array([0, 0, 0, 1]), predictions, target_spec)["reliability"]
    assert point == {"predicted": pytest.approx(0.8), "observed": 0.75, "rows": 4}


def test_shares_of_rejected_rows_are_rounded_to_whole_rows() -> None:
    outputs = np.stack([np.linspace(0.9, 0.5, 18), np.linspace(0.1, 0.5, 18)], axis=1)
    y = np.repeat([0, 1], [16, 2])
    predictions = TASK.predictions_from_outputs(outputs, ABOUT, {"set_threshold": 0.3})
    result = {item["reject_fraction"]: item["accuracy"] for item in rejection_curve(y, predictions)}
    assert result == pytest.approx(
        {0.0: 16 / 18, 0.01: 16 / 18, 0.02: 16 / 18, 0.05: 16 / 17, 0.1: 1, 0.2: 1, 0.5: 1}
    )


def test_a_confusion_table_counts_truth_by_decision() -> None:
    table = confusion_matrix(np.array([0, 1, 2, 2, 0]), np.array([0, 1, 1, 2, 0]), 3)
    assert table == [[2, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert per_class_metrics(table, ["a", "b", "c"])[1:] == [
        {"class": "b", "rows": 1, "precision": 0.5, "recall": 1.0},
        {"class": "c", "rows": 2, "precision": 1.0, "recall": 0.5},
    ]


def test_evidence_counts_decisions_and_shows_the_worst_rows() -> None:
    y = np.array([0, 0, 1, 1])
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    predictions = TASK.predictions_from_outputs(
        outputs, {**ABOUT, "costs": {"yes": {"no": 19}}}, {"set_threshold": 0.0}
    )
    result = TASK.diagnostics(y, predictions, ABOUT)
    assert result["classes"] == ["no", "yes"]
    assert result["confusion_matrix"] == [[0, 2], [0, 2]]  # 5 % are enough to say yes
    assert result["largest_errors"] == [1, 2, 3, 0]
    assert sum(point["rows"] for point in result["reliability"]) == 4
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_figures_of_a_class_that_is_never_called_or_never_there_are_left_open() -> None:
    result = per_class_metrics([[2, 0], [0, 0]], ["a", "b"])
    assert result[1] == {"class": "b", "rows": 0, "precision": None, "recall": None}


def test_the_worst_rows_come_worst_first_and_ties_in_table_order() -> None:
    assert largest_error_rows(np.array([0.1, 3.0, 2.0, 3.0]), max_rows=3) == [1, 3, 2]
