"""Temperature scaling makes probabilities honest, and reliability shows whether they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fieldcraft.evidence.calibration import (
    TEMPERATURES,
    expected_calibration_error,
    fit_temperature,
    golden,
    loss_at,
    reliability,
    scale,
)

Array = npt.NDArray[Any]


def honest(rows: int, classes: int = 2, seed: int = 0) -> tuple[Array, Array]:
    """Probabilities, and labels that follow them exactly."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(classes), rows)
    drawn = generator.random((rows, 1))
    y = (probabilities.cumsum(axis=1) < drawn).sum(axis=1)
    return probabilities, np.minimum(y, classes - 1)


@pytest.mark.parametrize("classes", [2, 5])
def test_scaling_keeps_the_ranking_and_the_sum(classes: int) -> None:
    probabilities, _ = honest(50, classes)
    assert scale(probabilities, 1.0) == pytest.approx(probabilities)
    for temperature in (0.2, 3.0):
        scaled = scale(probabilities, temperature)
        assert scaled.sum(axis=1) == pytest.approx(np.ones(50))
        assert (scaled.argsort(axis=1) == probabilities.argsort(axis=1)).all()


def test_a_temperature_below_one_sharpens_and_above_one_softens() -> None:
    probabilities = np.array([[0.3, 0.7]])
    assert scale(probabilities, 0.5)[0, 1] == pytest.approx(0.49 / 0.58)
    assert 0.5 < scale(probabilities, 2.0)[0, 1] < 0.7


def test_scaling_stands_certain_and_single_precision_probabilities() -> None:
    certain = np.array([[0.0, 1.0]], dtype=np.float32)
    for temperature in TEMPERATURES:
        assert np.isfinite(scale(certain, temperature)).all()
        assert scale(certain, temperature).dtype == np.float64


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_put_on_is_found_again(true: float, classes: int) -> None:
    probabilities, y = honest(8_000, classes)
    spoilt = scale(probabilities, 1 / true)
    found = fit_temperature(spoilt, y)
    assert found == pytest.approx(true, rel=0.06)
    assert loss_at(spoilt, y, found) <= loss_at(spoilt, y, 1.0)


def test_without_rows_probabilities_stay_as_they_are() -> None:
    assert fit_temperature(np.zeros((0, 2)), np.zeros(0, dtype=int)) == 1.0


def test_a_few_rows_that_are_all_right_do_not_make_a_model_certain() -> None:
    probabilities, y = np.tile([0.3, 0.7], (5, 1)), np.ones(5, dtype=int)
    scaled = scale(probabilities, fit_temperature(probabilities, y))
    assert loss_at(probabilities, y, TEMPERATURES[0]) > 0
    assert scaled[0, 1] > 0.7


def test_golden_section_finds_the_valley() -> None:
    assert golden(lambda x: (x - 1.3) ** 2, -5.0, 5.0, 60) == pytest.approx(1.3, abs=1e-6)
    assert golden(lambda x: x, 0.0, 1.0, 60) == pytest.approx(0.0, abs=1e-6)


def test_the_bins_of_a_curve_hold_all_rows_in_equal_count_from_low_to_high() -> None:
    probabilities, y = honest(1_003)
    curve = reliability(probabilities[:, 1], y == 1)
    assert len(curve) == 10
    assert sum(point["rows"] for point in curve) == 1_003
    assert {point["rows"] for point in curve} <= {100, 101}
    predicted = [point["predicted"] for point in curve]
    assert predicted == sorted(predicted)


def test_a_curve_is_what_was_predicted_against_what_happened() -> None:
    confidence, right = np.array([0.1, 0.9, 0.3, 0.7]), np.array([False, True, True, True])
    assert reliability(confidence, right, bins=2) == [
        {"predicted": pytest.approx(0.2), "observed": 0.5, "rows": 2},
        {"predicted": pytest.approx(0.8), "observed": 1.0, "rows": 2},
    ]


def test_fewer_rows_than_bins_and_no_rows_at_all() -> None:
    assert [point["rows"] for point in reliability(np.array([0.2, 0.8]), np.array([0, 1]))] == [
        1,
        1,
    ]
    assert reliability(np.zeros(0), np.zeros(0)) == []
    assert expected_calibration_error(np.zeros(0), np.zeros(0)) == 0.0


def test_honest_probabilities_have_a_small_error_and_boasting_ones_a_large_one() -> None:
    probabilities, y = honest(5_000)
    boasting = scale(probabilities, 0.2)
    assert expected_calibration_error(probabilities[:, 1], y == 1) < 0.03
    assert expected_calibration_error(boasting[:, 1], y == 1) > 0.1


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_rows_with_equal_confidence_does_not_matter(order: int) -> None:
    confidence = np.full(100, 0.5)
    right = np.repeat([False, True], 50)[::order]
    assert expected_calibration_error(confidence, right) == pytest.approx(0.0)
    mixed = np.repeat([0.2, 0.6], 50)
    assert expected_calibration_error(mixed[::order], right) == pytest.approx(0.3)
