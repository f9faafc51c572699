"""Labels, decisions and tables are the same for two classes and for many."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core.errors import DataError
from fieldcraft.evidence.classes import (
    MOST_TARGET_COLUMNS,
    Classes,
    confusion,
    natural_order,
    per_class,
    worst_rows,
)

TASK = Classes()
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
        assert natural_order(met) == labels


def test_classes_are_described_in_order_with_the_positive_one_last() -> None:
    target = pl.Series("bought", ["yes", "no", None, "yes"])
    assert TASK.describe(target, None) == {"classes": ["no", "yes"]}
    assert TASK.describe(target, "no") == {"classes": ["yes", "no"]}
    assert TASK.describe(pl.Series([10, 9]), None) == {"classes": ["9", "10"]}


@pytest.mark.parametrize("cells", [["yes", "yes", None], [None, None]])
def test_a_target_of_one_class_cannot_be_learned(cells: list[str | None]) -> None:
    with pytest.raises(DataError, match="fewer than two classes") as caught:
        TASK.describe(pl.Series("bought", cells, dtype=pl.String), None)
    assert "'bought'" in caught.value.seen


def test_a_positive_class_that_no_row_has_is_named() -> None:
    with pytest.raises(DataError, match="no row has the positive class 'maybe'") as caught:
        TASK.describe(pl.Series(["yes", "no"]), "maybe")
    assert caught.value.seen == "classes: no, yes"


def test_labels_become_indexes_into_the_classes() -> None:
    assert TASK.encode(pl.Series(["yes", "no", "yes"]), ABOUT).tolist() == [1, 0, 1]
    assert TASK.encode(pl.Series([10, 9]), {"classes": ["9", "10"]}).tolist() == [1, 0]


@pytest.mark.parametrize("cell", ["Yes", None])
def test_a_label_that_the_model_does_not_know_is_named(cell: str | None) -> None:
    with pytest.raises(DataError, match="a label that the model does not know") as caught:
        TASK.encode(pl.Series("bought", ["yes", cell]), ABOUT)
    assert caught.value.seen == f"{cell!r} in column 'bought'"
    assert caught.value.way_out == "use the labels 'no', 'yes'"


def test_class_indexes_are_not_scaled() -> None:
    y, outputs = np.array([0, 1]), np.eye(2)
    assert TASK.scaled(y, TASK.scale(y)) is y
    assert TASK.unscaled(outputs, TASK.scale(y)) is outputs


def test_target_means_are_taken_of_every_class_but_the_first() -> None:
    y = np.array([0, 1, 2, 1])
    assert TASK.columns(y, THREE).tolist() == [[0, 0], [1, 0], [0, 1], [1, 0]]
    many = [str(i) for i in range(MOST_TARGET_COLUMNS + 1)]
    assert TASK.columns(y, {"classes": many[:-1]}).shape == (4, MOST_TARGET_COLUMNS - 1)
    assert TASK.columns(y, {"classes": many}).shape == (4, 0)


def test_there_is_one_output_for_each_class() -> None:
    assert (TASK.width(ABOUT), TASK.width(THREE)) == (2, 3)


def test_the_decision_is_the_likeliest_class_beside_all_probabilities() -> None:
    outputs = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], dtype=np.float32)
    found = TASK.decide(outputs, THREE)
    assert found["prediction"].to_list() == ["b", "a"]
    assert found.columns == ["prediction", "probability_a", "probability_b", "probability_c"]
    assert found["probability_c"].to_list() == pytest.approx([0.3, 0.1])
    assert TASK.decide(np.zeros((0, 3)), THREE).height == 0


def test_calibration_takes_back_what_a_boasting_model_says_too_much() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 2_000)
    called = np.where(generator.random(2_000) < 0.8, y, 1 - y)  # right four times in five
    outputs = np.where(np.eye(2)[called] == 1, 0.99, 0.01)
    calibrated = TASK.calibrated(outputs, TASK.calibrate(outputs, y))
    assert calibrated.max(axis=1).mean() == pytest.approx(0.8, abs=0.03)
    assert TASK.validation_loss(outputs, y) == pytest.approx(0.5, abs=0.03)


def test_the_validation_loss_does_not_depend_on_how_sure_a_model_sounds() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 500)
    timid = 0.5 + np.clip((y - 0.5) * 0.1 + generator.normal(0, 0.05, 500), -0.2, 0.2)
    modest = np.column_stack([1 - timid, timid])
    sure = TASK.calibrated(modest, {"temperature": 0.5})
    assert TASK.validation_loss(sure, y) == pytest.approx(TASK.validation_loss(modest, y), rel=0.02)


def test_a_confusion_table_counts_truth_by_decision() -> None:
    outputs = np.eye(3)[[0, 1, 1, 2, 0]]
    table = confusion(np.array([0, 1, 2, 2, 0]), outputs, 3)
    assert table == [[2, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert per_class(table, ["a", "b", "c"])[1:] == [
        {"class": "b", "rows": 1, "precision": 0.5, "recall": 1.0},
        {"class": "c", "rows": 2, "precision": 1.0, "recall": 0.5},
    ]


def test_figures_of_a_class_that_is_never_called_or_never_there_are_left_open() -> None:
    found = per_class([[2, 0], [0, 0]], ["a", "b"])
    assert found[1] == {"class": "b", "rows": 0, "precision": None, "recall": None}


def test_the_worst_rows_come_worst_first_and_ties_in_table_order() -> None:
    assert worst_rows(np.array([0.1, 3.0, 2.0, 3.0]), most=3) == [1, 3, 2]
