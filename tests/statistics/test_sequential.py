"""Sequential tests: false alarms are as rare as stated, and bounds hold at all times."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm

from fieldcraft.statistics import sequential
from fieldcraft.statistics.sequential import EDetector


@pytest.mark.parametrize("power", [0.1, 0.5, 0.8])
def test_calibrated_p_values_have_a_mean_of_one(power: float) -> None:
    places = np.geomspace(1e-12, 1, 20_001)
    logs = np.exp([sequential.log_e_value(place, power) for place in places])
    whole = float(np.trapezoid(logs, places))
    assert whole <= 1.001
    assert whole > 0.9 * (1 - (1e-12) ** power)


def test_false_alarms_are_no_more_frequent_than_the_threshold_allows() -> None:
    draw = np.random.default_rng(0)
    limit, windows, alarms = 50.0, 20_000, 0
    detector = EDetector.create(np.array([0.5, 0.5]))
    tilts = np.array([0.5, -0.5])
    for value in draw.normal(size=windows):
        if detector.update(tilts * value - tilts**2 / 2) >= math.log(limit):
            alarms += 1
            detector = EDetector.create(detector.weights)
    assert 0 < alarms <= 1.3 * windows / limit


def test_detectors_find_a_change_soon() -> None:
    detector = EDetector.create(np.array([1.0]))
    assert detector.log_level == -math.inf
    assert detector.update(np.array([0.0])) == pytest.approx(0)
    assert detector.update(np.array([math.log(3)])) == pytest.approx(math.log(6))


def test_the_threshold_follows_from_windows_streams_and_alarms() -> None:
    assert math.exp(sequential.alarm_threshold(720, 20)) == pytest.approx(720 * 20 / 0.35)
    assert sequential.alarm_threshold(0, 0) == 0
    # with a mean of 0.35 a month (Poisson), more than one alarm is in one month of twenty
    assert 1 - math.exp(-0.35) * 1.35 < 0.05


def test_a_detector_weights_its_tests() -> None:
    detector = EDetector.create(np.array([0.25, 0.75]))
    detector.update(np.log([8.0, 2.0]))  # sums of 8 and 2
    level = detector.update(np.log([0.5, 4.0]))  # (8 + 1) / 2 and (2 + 1) * 4
    assert level == detector.log_level == pytest.approx(math.log(0.25 * 4.5 + 0.75 * 12))


def reference_confidence_sequence(values: list[float], level: float) -> list[tuple[float, float]]:
    """The predictable plug-in empirical Bernstein sequence, term by term from the paper.

    Waudby-Smith & Ramdas 2024, theorem 2 with equations 14 and 15 (c = 1/2), intersected over
    time.
    """
    wanted = math.log(2 / (1 - level))
    bets = weighted = spent = low = 0.0
    high, mean, variance, total, squares = 1.0, 0.5, 0.25, 0.0, 0.0
    bounds = []
    for number, value in enumerate(values, 1):
        bet = min(math.sqrt(2 * wanted / (variance * number * math.log(1 + number))), 0.5)
        spent += 4 * (value - mean) ** 2 * (-math.log(1 - bet) - bet) / 4
        bets += bet
        weighted += bet * value
        total += value
        mean = (0.5 + total) / (number + 1)
        squares += (value - mean) ** 2
        variance = (0.25 + squares) / (number + 1)
        low = max(low, weighted / bets - (wanted + spent) / bets)
        high = min(high, weighted / bets + (wanted + spent) / bets)
        bounds.append((low, high))
    return bounds


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("shape", [(0.3, 0.3), (1.0, 9.0), (9.0, 0.5)])
def test_a_confidence_sequence_is_that_of_the_paper(
    shape: tuple[float, float], level: float
) -> None:
    values = np.random.default_rng(0).beta(*shape, 300)
    bounds = np.stack(sequential.confidence_sequence(values, level), axis=1)
    assert bounds == pytest.approx(
        np.array(reference_confidence_sequence(values.tolist(), level)), abs=1e-12
    )


def test_bounds_of_the_first_values_do_not_change_as_more_come() -> None:
    values = np.random.default_rng(1).random(60)
    whole = sequential.confidence_sequence(values)
    for count in (0, 1, 7, 59):
        part = sequential.confidence_sequence(values[:count])
        for bound, all_of_it in zip(part, whole, strict=True):
            assert bound == pytest.approx(all_of_it[:count], abs=0)


@pytest.mark.parametrize("mean", [0.1, 0.5])
def test_optional_stopping_keeps_the_coverage(mean: float) -> None:
    draw, level, rows = np.random.default_rng(1), 0.8, 1_000
    values = (draw.random((250, rows)) < mean).astype(float)
    wrong = peeked = 0
    for row in values:
        low, high = sequential.confidence_sequence(row, level)
        wrong += bool(((low > mean) | (high < mean)).any())
        average = np.cumsum(row) / np.arange(1, rows + 1)
        error = norm.ppf(0.9) * np.sqrt(average * (1 - average) / np.arange(1, rows + 1))
        peeked += bool((np.abs(average - mean) > error)[30:].any())
    assert wrong / len(values) <= 1 - level
    assert peeked / len(values) > 0.6  # an interval for a single look fails


@pytest.mark.parametrize("mean", [0.2, 0.5, 0.9])
def test_the_exact_miscoverage_over_all_sequences_is_at_most_the_stated_one(mean: float) -> None:
    rows, level, missed = 12, 0.4, 0.0
    for outcome in itertools.product([0.0, 1.0], repeat=rows):
        low, high = sequential.confidence_sequence(np.array(outcome), level)
        ones = sum(outcome)
        if low[-1] > mean or high[-1] < mean:  # bounds never widen again
            missed += mean**ones * (1 - mean) ** (rows - ones)
    assert missed <= 1 - level


def test_bounds_converge_to_the_mean_and_never_widen() -> None:
    low, high = sequential.confidence_sequence(
        (np.random.default_rng(1).random(400) < 0.1).astype(float), 0.9
    )
    assert high[-1] - low[-1] < 0.15
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) <= 0).all()
    empty = sequential.confidence_sequence(np.zeros(0))
    assert [len(bound) for bound in empty] == [0, 0]
