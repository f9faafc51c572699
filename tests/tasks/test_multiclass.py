"""One of several classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.statistics import classification_metrics
from fieldcraft.tasks.multiclass import MulticlassTask

TASK: MulticlassTask = catalog.load_plugin("tasks", "multiclass")
TARGET_SPEC = {"classes": ["a", "b", "c"]}


@pytest.mark.parametrize(
    ("cells", "sure"),
    [
        (["a", "b", "c"] * 20, 0.9),
        ([1, 2, 3] * 20, 0.6),
        ([i % 10 for i in range(60)], 0.6),
        ([i % 11 for i in range(60)], None),
        ([1.5, 2.5, 3.5] * 20, None),
        (["a", "b"] * 30, None),
        ([f"k{i}" for i in range(60)], None),
        ([f"k{i % 15}" for i in range(60)], 0.9),
        ([f"k{i % 16}" for i in range(60)], None),  # a fifth of the rows and three more
        (["a", "b", "c"], 0.9),
    ],
)
def test_a_few_words_or_whole_numbers_are_classes(cells: list[Any], sure: float | None) -> None:
    inference = TASK.infer([ColumnProfile(pl.Series("y", cells))])
    assert (inference.confidence if inference else None) == sure


def test_calibration_and_sets_suit_a_model_that_is_too_sure() -> None:
    draw = np.random.default_rng(0)
    honest = draw.dirichlet(np.ones(3), 6_000)
    y = np.minimum((honest.cumsum(axis=1) < draw.random((6_000, 1))).sum(axis=1), 2)
    boasting = honest**3 / (honest**3).sum(axis=1, keepdims=True)
    tune, judge = slice(0, 3_000), slice(3_000, None)
    result = TASK.calibrate(boasting[tune], y[tune], {**TARGET_SPEC, "coverage": 0.8})
    assert result["temperature"] == pytest.approx(3, rel=0.1)
    outputs = TASK.apply_calibration(boasting[judge], result)
    np.testing.assert_allclose(outputs, honest[judge], atol=0.05)
    predictions = TASK.predictions_from_outputs(outputs, {**TARGET_SPEC, "coverage": 0.8}, result)
    weights = np.ones((1, 3_000))
    assert classification_metrics.set_coverage(y[judge], predictions, weights)[0] == pytest.approx(
        0.8, abs=0.03
    )
    assert classification_metrics.mean_set_size(y[judge], predictions, weights)[0] < 2


def test_costs_of_one_class_make_it_the_careful_answer() -> None:
    outputs = np.array([[0.45, 0.35, 0.2], [0.1, 0.89, 0.01]])
    target_spec = {**TARGET_SPEC, "costs": {"c": {"a": 5, "b": 5}}}
    predictions = TASK.predictions_from_outputs(outputs, target_spec, {"set_threshold": 0.3})
    # c costs 0.8 against 0.35 + 1.0 for a; but 0.99 against 0.1 + 0.05 for b.
    assert predictions.decisions.tolist() == [2, 1]
    assert TASK.to_frame(predictions, target_spec)["prediction"].to_list() == ["c", "b"]
