"""Temperature scaling calibrates probabilities, and a reliability curve shows how well."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss as sklearn_log_loss

from fieldcraft.statistics.calibration import (
    TEMPERATURE_RANGE,
    apply_temperature,
    fit_temperature,
    golden_section_minimum,
    reliability_curve,
    temperature_loss,
)

Array = npt.NDArray[Any]


def calibrated_sample(n_rows: int, n_classes: int = 2, seed: int = 0) -> tuple[Array, Array]:
    """Probabilities, and labels that follow them exactly."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(n_classes), n_rows)
    drawn = rng.random((n_rows, 1))
    y = (probabilities.cumsum(axis=1) < drawn).sum(axis=1)
    return probabilities, np.minimum(y, n_classes - 1)


@pytest.mark.parametrize("classes", [2, 5])
def test_scaling_keeps_the_ranking_and_the_sum(classes: int) -> None:
    probabilities, _ = calibrated_sample(50, classes)
    assert apply_temperature(probabilities, 1.0) == pytest.approx(probabilities)
    for temperature in (0.2, 3.0):
        scaled = apply_temperature(probabilities, temperature)
        assert scaled.sum(axis=1) == pytest.approx(np.ones(50))
        assert (scaled.argsort(axis=1) == probabilities.argsort(axis=1)).all()


def test_a_temperature_below_one_sharpens_and_above_one_softens() -> None:
    probabilities = np.array([[0.3, 0.7]])
    assert apply_temperature(probabilities, 0.5)[0, 1] == pytest.approx(0.49 / 0.58)
    assert 0.5 < apply_temperature(probabilities, 2.0)[0, 1] < 0.7


def test_scaling_is_stable_for_certain_and_single_precision_probabilities() -> None:
    certain = np.array([[0.0, 1.0]], dtype=np.float32)
    for temperature in TEMPERATURE_RANGE:
        assert np.isfinite(apply_temperature(certain, temperature)).all()
        assert apply_temperature(certain, temperature).dtype == np.float64


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_an_applied_temperature_is_recovered(true: float, classes: int) -> None:
    probabilities, y = calibrated_sample(8_000, classes)
    spoilt = apply_temperature(probabilities, 1 / true)
    temperature = fit_temperature(spoilt, y)
    assert temperature == pytest.approx(true, rel=0.06)
    assert temperature_loss(spoilt, y, temperature) <= temperature_loss(spoilt, y, 1.0)


def test_without_rows_the_temperature_is_one() -> None:
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=int)) == 1.0


def optimal_temperature(probability: float, accuracy: float, n_rows: float) -> float:
    """SciPy's optimum where all rows have one probability and one accuracy."""

    def loss(position: float) -> float:
        odds = (1 / probability - 1) ** (
            1 / math.exp(position)
        )  # against the class, at the temperature
        log_loss = accuracy * math.log1p(odds) + (1 - accuracy) * math.log1p(1 / odds)
        return log_loss + position**2 / (2 * 0.5**2 * n_rows)

    ends = math.log(0.1), math.log(10)
    return math.exp(minimize_scalar(loss, bounds=ends, method="bounded", options={"xatol": 1e-9}).x)


@pytest.mark.parametrize("rows", [2, 5, 20])
def test_a_few_correct_rows_do_not_make_a_model_certain(rows: int) -> None:
    probabilities, y = np.tile([0.3, 0.7], (rows, 1)), np.ones(rows, dtype=int)
    temperature = fit_temperature(probabilities, y)
    assert temperature == pytest.approx(optimal_temperature(0.7, 1.0, rows), rel=1e-4)
    # Less sure than Laplace's rule of succession would be of a class that is all there is.
    assert (
        0.7 < apply_temperature(probabilities, temperature)[0, 1] < (rows + 1) / (rows + 2) + 0.02
    )


@pytest.mark.parametrize("weight", [0.2, 1.0, 7.0])
@pytest.mark.parametrize("rows", [8, 4_000])
def test_a_temperature_is_fitted_to_weighted_rows(weight: float, rows: int) -> None:
    probabilities = np.tile([0.2, 0.8], (rows, 1))
    y = (np.arange(rows) % 4 != 0).astype(int)  # three in four are right
    right = 3 / (3 + weight)
    temperature = fit_temperature(probabilities, y, np.where(y == 1, 1.0, weight))
    n_effective = rows / 4 * (3 + weight) ** 2 / (3 + weight**2)
    assert temperature == pytest.approx(optimal_temperature(0.8, right, n_effective), rel=1e-4)
    if rows > 1_000 and right > 0.55:  # in the long run as sure as it is right
        assert apply_temperature(probabilities, temperature)[0, 1] == pytest.approx(right, abs=1e-3)


def test_the_scale_of_weights_does_not_matter() -> None:
    probabilities, y = calibrated_sample(50)
    weights = np.random.default_rng(1).gamma(1.0, size=50)
    one, other = (fit_temperature(probabilities, y, factor * weights) for factor in (1, 9))
    assert one == pytest.approx(other, rel=1e-6)
    assert one != pytest.approx(fit_temperature(probabilities, y), rel=1e-3)


@pytest.mark.parametrize("steps", [1, 3, 12])
def test_calibration_is_never_worse_than_none(steps: int) -> None:
    for seed in range(20):
        probabilities, y = calibrated_sample(30, 3, seed)
        weights = np.random.default_rng(seed).gamma(1.0, size=30)
        temperature = fit_temperature(probabilities, y, weights, steps)
        chosen = apply_temperature(probabilities, temperature)[np.arange(30), y]
        plain = probabilities[np.arange(30), y]
        gain = np.average(np.log(chosen / plain), weights=weights)
        assert gain > 0 or temperature == 1.0, (seed, temperature, gain)


def test_calibrated_probabilities_keep_a_temperature_of_one() -> None:
    exact, y = np.tile([0.25, 0.75], (400, 1)), (np.arange(400) % 4 != 0).astype(int)
    assert fit_temperature(exact, y, steps=2) == 1.0  # two steps alone would end elsewhere
    assert fit_temperature(exact, y) == pytest.approx(1.0, abs=1e-6)
    assert fit_temperature(np.full((9, 3), 1 / 3), np.zeros(9, dtype=int)) == 1.0


def test_temperatures_stay_within_their_range() -> None:
    certain, y = np.tile([0.45, 0.55], (5_000, 1)), np.ones(5_000, dtype=int)
    assert fit_temperature(certain, y) == pytest.approx(0.1, rel=1e-6)
    assert fit_temperature(np.tile([0.001, 0.999], (5_000, 1)), 1 - y) == pytest.approx(10.0)


def test_the_loss_is_the_mean_log_loss_and_the_prior() -> None:
    probabilities, y, weights = calibrated_sample(40, 4)[0], np.arange(40) % 4, np.arange(1.0, 41.0)
    expected = sklearn_log_loss(y, apply_temperature(probabilities, 3.0), sample_weight=weights)
    n_effective = 820**2 / 22_140  # the sums of 1 to 40 and of their squares
    prior = 0.5 * (math.log(3) / 0.5) ** 2 / n_effective
    assert temperature_loss(probabilities, y, 3.0, weights) == pytest.approx(expected + prior)
    assert np.isfinite(
        temperature_loss(np.array([[0.0, 1.0]]), np.array([0]), TEMPERATURE_RANGE[0])
    )


def test_golden_section_finds_the_minimum() -> None:
    assert golden_section_minimum(lambda x: (x - 1.3) ** 2, -5.0, 5.0, 60) == pytest.approx(
        1.3, abs=1e-6
    )
    assert golden_section_minimum(lambda x: x, 0.0, 1.0, 60) == pytest.approx(0.0, abs=1e-6)


def test_bins_of_a_curve_have_equal_counts_in_increasing_order() -> None:
    probabilities, y = calibrated_sample(1_003)
    curve = reliability_curve(probabilities[:, 1], y == 1)
    assert len(curve) == 10
    assert sum(point["rows"] for point in curve) == 1_003
    assert {point["rows"] for point in curve} <= {100, 101}
    predicted = [point["predicted"] for point in curve]
    assert predicted == sorted(predicted)


def test_a_curve_has_predicted_and_observed_frequencies() -> None:
    confidence, right = np.array([0.1, 0.9, 0.3, 0.7]), np.array([False, True, True, True])
    assert reliability_curve(confidence, right, max_bins=2) == [
        {"predicted": pytest.approx(0.2), "observed": 0.5, "rows": 2},
        {"predicted": pytest.approx(0.8), "observed": 1.0, "rows": 2},
    ]


def test_a_curve_of_fewer_rows_than_bins_or_none() -> None:
    assert [
        point["rows"] for point in reliability_curve(np.array([0.2, 0.8]), np.array([0, 1]))
    ] == [
        1,
        1,
    ]
    assert reliability_curve(np.zeros(0), np.zeros(0)) == []
