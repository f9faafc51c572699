"""Metrics of amounts equal scikit-learn's; shares and variances of nothing are NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as peer

from fieldcraft.evidence import value_metrics as own
from fieldcraft.evidence.metrics import Metric, Said
from tests.evidence.samples import ROWS, Array, Peer, assert_equals_peer, metrics_of, of_amounts


def by_value(score: Callable[..., float], **options: Any) -> Peer:
    """A score of scikit-learn on predicted values."""
    return lambda y, said, weights: float(
        score(y, said.decisions, sample_weight=weights, **options)
    )


def pinball(y: Array, said: Said, weights: Array) -> float:
    """The mean of scikit-learn's pinball losses of both ends."""
    tails = (1 - said.coverage) / 2, (1 + said.coverage) / 2
    losses = [
        peer.mean_pinball_loss(y, end, alpha=tail, sample_weight=weights)
        for end, tail in zip(said.regions.T, tails, strict=True)
    ]
    return float(np.mean(losses))


PEERS: dict[Metric, Peer] = {
    own.MAE: by_value(peer.mean_absolute_error),
    own.RMSE: by_value(peer.root_mean_squared_error),
    own.MAPE: by_value(peer.mean_absolute_percentage_error),
    own.R2: by_value(peer.r2_score),
    own.PINBALL: pinball,
}


def test_every_metric_is_compared_here() -> None:
    assert set(metrics_of(own)) == {*PEERS, own.BIAS, own.COVERAGE, own.WIDTH}


@pytest.mark.parametrize("metric", PEERS, ids=lambda metric: metric.name)
def test_metrics_of_amounts_equal_those_of_scikit_learn(metric: Metric) -> None:
    for seed in range(2):
        assert_equals_peer(metric, PEERS[metric], of_amounts(seed))


def said(values: list[float], half: float = 1.0, coverage: float = 0.9) -> Said:
    """Predicted values, each with an interval of the same width."""
    predicted = np.array(values)
    regions = np.stack([predicted - half, predicted + half], axis=1)
    return Said(predicted[:, None], predicted, regions, coverage)


def test_figures_by_hand() -> None:
    y, weights = np.array([1.0, 2.0, 4.0]), np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 3.0]])
    model = said([2.0, 2.5, 1.0])
    assert own.bias(y, model, weights) == pytest.approx([-0.5, (0.5 - 9) / 4])
    assert own.coverage(y, model, weights) == pytest.approx([2 / 3, 1 / 4])  # ends belong to it
    assert own.width(y, model, weights) == pytest.approx([2.0, 2.0])
    assert own.mae(y, model, weights) == pytest.approx([4.5 / 3, 9.5 / 4])


def test_a_pinball_loss_charges_a_miss_by_the_level_of_the_end() -> None:
    y, even = np.array([0.0]), np.ones((1, 1))
    # Below the interval by 2: the low end pays 0.95 of it, the high end 0.05 of 4.
    assert own.pinball(y, said([3.0]), even)[0] == pytest.approx((0.95 * 2 + 0.05 * 4) / 2)
    # Inside: both ends pay 0.05 of their distance.
    assert own.pinball(y, said([0.0]), even)[0] == pytest.approx(0.05)
    assert own.pinball(y, said([0.0], coverage=0.5), even)[0] == pytest.approx(0.25)


def test_relative_errors_leave_out_true_values_of_zero() -> None:
    y = np.array([0.0, 2.0, -4.0])
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    found = own.mape(y, said([5.0, 1.0, -3.0]), weights)
    assert found == pytest.approx([(0.5 + 0.25) / 2, np.nan], nan_ok=True)
    assert np.isnan(own.mape(np.zeros(3), said([1.0, 1.0, 1.0]), weights)).all()


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_no_variance_means_no_r2(far: float) -> None:
    draw = np.random.default_rng(0)
    y = far + draw.normal(size=ROWS)
    same_row = 7 * np.eye(ROWS, dtype=np.float32)
    assert np.isnan(own.r2(y, said(draw.normal(far, 1, ROWS).tolist()), same_row)).all()


def test_guessing_the_mean_explains_nothing_and_worse_guesses_less() -> None:
    y, even = np.array([1.0, 2.0, 6.0]), np.ones((1, 3))
    assert own.r2(y, said([3.0] * 3), even)[0] == pytest.approx(0.0)
    assert own.r2(y, said([9.0] * 3), even)[0] < 0


def test_whole_numbers_are_read_as_numbers() -> None:
    y = np.array([1, 2, 4])
    assert own.rmse(y, said([2.0, 2.0, 4.0]), np.ones((1, 3)))[0] == pytest.approx(3**-0.5)
