"""Regression metrics equal scikit-learn's, and are NaN where they are not defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as peer

from fieldcraft.statistics import regression_metrics as own
from fieldcraft.statistics.metrics import Metric, Predictions
from tests.statistics.samples import (
    N_ROWS,
    Array,
    ReferenceMetric,
    assert_equals_reference,
    find_metrics,
    regression_sample,
)


def by_prediction(score: Callable[..., float], **options: Any) -> ReferenceMetric:
    """A metric of scikit-learn on predicted values."""
    return lambda y, predictions, weights: float(
        score(y, predictions.decisions, sample_weight=weights, **options)
    )


def reference_pinball(y: Array, predictions: Predictions, weights: Array) -> float:
    """The mean of scikit-learn's pinball losses of both ends."""
    tails = (1 - predictions.coverage) / 2, (1 + predictions.coverage) / 2
    losses = [
        peer.mean_pinball_loss(y, end, alpha=tail, sample_weight=weights)
        for end, tail in zip(predictions.regions.T, tails, strict=True)
    ]
    return float(np.mean(losses))


REFERENCES: dict[Metric, ReferenceMetric] = {
    own.MAE: by_prediction(peer.mean_absolute_error),
    own.RMSE: by_prediction(peer.root_mean_squared_error),
    own.MAPE: by_prediction(peer.mean_absolute_percentage_error),
    own.R2: by_prediction(peer.r2_score),
    own.PINBALL: reference_pinball,
}


def test_every_metric_is_compared_here() -> None:
    assert set(find_metrics(own)) == {
        *REFERENCES,
        own.MEAN_ERROR,
        own.COVERAGE,
        own.MEAN_INTERVAL_WIDTH,
    }


@pytest.mark.parametrize("metric", REFERENCES, ids=lambda metric: metric.name)
def test_metrics_of_amounts_equal_those_of_scikit_learn(metric: Metric) -> None:
    for seed in range(2):
        assert_equals_reference(metric, REFERENCES[metric], regression_sample(seed))


def predictions_at(
    values: list[float], half_width: float = 1.0, coverage: float = 0.9
) -> Predictions:
    """Predicted values, each with an interval of the same width."""
    predicted = np.array(values)
    regions = np.stack([predicted - half_width, predicted + half_width], axis=1)
    return Predictions(predicted[:, None], predicted, regions, coverage)


def test_values_by_hand() -> None:
    y, weights = np.array([1.0, 2.0, 4.0]), np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 3.0]])
    model = predictions_at([2.0, 2.5, 1.0])
    assert own.mean_error(y, model, weights) == pytest.approx([-0.5, (0.5 - 9) / 4])
    assert own.interval_coverage(y, model, weights) == pytest.approx(
        [2 / 3, 1 / 4]
    )  # ends belong to it
    assert own.mean_interval_width(y, model, weights) == pytest.approx([2.0, 2.0])
    assert own.mean_absolute_error(y, model, weights) == pytest.approx([4.5 / 3, 9.5 / 4])


def test_the_pinball_loss_weights_errors_by_the_quantile_level() -> None:
    y, even = np.array([0.0]), np.ones((1, 1))
    # Below the interval by 2: the low end pays 0.95 of it, the high end 0.05 of 4.
    assert own.mean_pinball_loss(y, predictions_at([3.0]), even)[0] == pytest.approx(
        (0.95 * 2 + 0.05 * 4) / 2
    )
    # Inside: both ends pay 0.05 of their distance.
    assert own.mean_pinball_loss(y, predictions_at([0.0]), even)[0] == pytest.approx(0.05)
    assert own.mean_pinball_loss(y, predictions_at([0.0], coverage=0.5), even)[0] == pytest.approx(
        0.25
    )


def test_relative_errors_leave_out_true_values_of_zero() -> None:
    y = np.array([0.0, 2.0, -4.0])
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    errors = own.mean_absolute_percentage_error(y, predictions_at([5.0, 1.0, -3.0]), weights)
    assert errors == pytest.approx([(0.5 + 0.25) / 2, np.nan], nan_ok=True)
    assert np.isnan(
        own.mean_absolute_percentage_error(np.zeros(3), predictions_at([1.0, 1.0, 1.0]), weights)
    ).all()


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_no_variance_means_no_r2(far: float) -> None:
    draw = np.random.default_rng(0)
    y = far + draw.normal(size=N_ROWS)
    same_row = 7 * np.eye(N_ROWS, dtype=np.float32)
    assert np.isnan(
        own.r2_score(y, predictions_at(draw.normal(far, 1, N_ROWS).tolist()), same_row)
    ).all()


def test_r2_of_the_mean_is_zero_and_worse_predictions_are_negative() -> None:
    y, even = np.array([1.0, 2.0, 6.0]), np.ones((1, 3))
    assert own.r2_score(y, predictions_at([3.0] * 3), even)[0] == pytest.approx(0.0)
    assert own.r2_score(y, predictions_at([9.0] * 3), even)[0] < 0


def test_integer_predictions_are_valid() -> None:
    y = np.array([1, 2, 4])
    assert own.root_mean_squared_error(y, predictions_at([2.0, 2.0, 4.0]), np.ones((1, 3)))[
        0
    ] == pytest.approx(3**-0.5)
