"""Amounts: their scale, the interval around each, and what is shown of errors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.core import catalog
from fieldcraft.core.errors import DataError
from fieldcraft.data.column_profile import ColumnProfile
from fieldcraft.statistics import regression_metrics
from fieldcraft.tasks.regression import MAX_SCATTER_POINTS, RegressionTask

TASK: RegressionTask = catalog.load_plugin("tasks", "regression")
ROWS = 200
AMOUNTS = np.random.default_rng(0).normal(100, 20, ROWS)


@pytest.mark.parametrize("cells", [[1.0] * 5, [None] * 5, [3.0, None, 3.0]])
def test_a_target_of_one_value_is_nothing_to_learn(cells: list[Any]) -> None:
    with pytest.raises(DataError, match="nothing to learn") as caught:
        TASK.describe(pl.Series("y", cells, dtype=pl.Float64), {})
    assert "column 'y'" in caught.value.detail


@pytest.mark.parametrize(
    ("cells", "amount"),
    [
        (["1", "2", "3"], True),
        (["1", "2", "2"], False),
        (["1", "2", "3"] * 30 + ["?"] * 3, True),
        (["1", "2", "3", "x"], False),
        (["1,5", "2,5", "3,5"], True),
    ],
)
def test_numbers_are_recognized(cells: list[str], amount: bool) -> None:
    assert (TASK.infer([ColumnProfile(pl.Series("y", cells))]) is not None) is amount


def test_amounts_are_standardised_and_predictions_kept_near_the_training_range() -> None:
    scale = json.loads(json.dumps(TASK.fit_target_scale(AMOUNTS), allow_nan=False))
    scaled = TASK.scale_target(AMOUNTS, scale)
    assert (scaled.mean(), scaled.std()) == pytest.approx((0, 1))
    low, high = AMOUNTS.min(), AMOUNTS.max()
    edge = 0.05 * (high - low)
    result = TASK.unscale_outputs(np.array([[-1e9], [0.0], [1e9]], dtype=np.float32), scale)
    assert result[:, 0] == pytest.approx([low - edge, AMOUNTS.mean(), high + edge])


def test_equal_amounts_scale_without_a_division_by_zero() -> None:
    scale = TASK.fit_target_scale(np.full(5, 3.0))
    assert TASK.scale_target(np.full(5, 3.0), scale).tolist() == [0.0] * 5
    assert TASK.unscale_outputs(np.zeros((1, 1)), scale).tolist() == [[3.0]]


def test_values_stay_as_they_are_and_get_an_interval() -> None:
    outputs = AMOUNTS[:, None]
    target_spec = {"coverage": 0.8}
    truth = AMOUNTS + np.random.default_rng(1).normal(0, 5, ROWS)
    result = json.loads(json.dumps(TASK.calibrate(outputs, truth, target_spec), allow_nan=False))
    assert TASK.apply_calibration(outputs, result) is outputs
    predictions = TASK.predictions_from_outputs(outputs, target_spec, result)
    assert (predictions.decisions == AMOUNTS).all()
    assert predictions.coverage == 0.8
    even = np.ones((1, ROWS))
    assert regression_metrics.interval_coverage(truth, predictions, even)[0] == pytest.approx(
        0.8, abs=0.01
    )
    decided = TASK.to_frame(predictions, target_spec)
    assert decided.columns == ["prediction", "prediction_low", "prediction_high"]
    assert (decided["prediction_low"] < decided["prediction"]).all()
    assert (decided["prediction"] < decided["prediction_high"]).all()
    wider = TASK.predictions_from_outputs(
        outputs, {}, TASK.calibrate(outputs, truth, {})
    )  # nine in ten by default
    assert wider.coverage == 0.9
    assert (wider.regions[:, 1] > predictions.regions[:, 1]).all()


def test_no_rows_are_read_as_none() -> None:
    predictions = TASK.predictions_from_outputs(
        np.zeros((0, 1)), {}, {"bin_edges": [1.0], "half_widths": [1.0, 2.0]}
    )
    assert TASK.to_frame(predictions, {}).height == 0


def test_a_target_of_whole_numbers_is_read_as_amounts() -> None:
    y = TASK.encode(pl.Series("y", [1, 2, 3]), {})
    assert y.dtype == np.float64
    assert TASK.target_indicator_matrix(y, {}).tolist() == [[1.0], [2.0], [3.0]]


def test_evidence_shows_errors() -> None:
    errors = np.zeros(ROWS)
    errors[17] = 50.0
    outputs = (AMOUNTS + errors)[:, None]
    predictions = TASK.predictions_from_outputs(outputs, {}, TASK.calibrate(outputs, AMOUNTS, {}))
    result = TASK.diagnostics(AMOUNTS, predictions, {})
    assert result["largest_errors"][0] == 17
    assert result["error_quantiles"]["0.5"] == 0
    assert [AMOUNTS[17], AMOUNTS[17] + 50] in result["scatter"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_a_scatter_of_many_rows_is_thinned() -> None:
    y = np.arange(3_000.0)
    predictions = TASK.predictions_from_outputs(
        y[:, None], {}, {"bin_edges": [], "half_widths": [1.0]}
    )
    points = TASK.diagnostics(y, predictions, {})["scatter"]
    assert len(points) == MAX_SCATTER_POINTS
    assert points[0] == [0, 0]
    assert points[-1] == [2_999, 2_999]
