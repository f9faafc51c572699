"""Evidence over time: false alarms are as rare as promised, and bounds hold at all times."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fieldcraft.evidence import sequential
from fieldcraft.evidence.sequential import Detector


@pytest.mark.parametrize("power", [0.1, 0.5, 0.8])
def test_calibrated_p_values_are_e_values(power: float) -> None:
    places = np.geomspace(1e-12, 1, 20_001)
    logs = np.exp([sequential.calibrated(place, power) for place in places])
    whole = float(np.trapezoid(logs, places))
    assert whole <= 1.001
    assert whole > 0.9 * (1 - (1e-12) ** power)


def test_detectors_alarm_no_more_often_than_once_in_the_threshold() -> None:
    draw = np.random.default_rng(0)
    limit, windows, alarms = 50.0, 20_000, 0
    detector = Detector.fresh(np.array([0.5, 0.5]))
    tilts = np.array([0.5, -0.5])
    for value in draw.normal(size=windows):
        if detector.add(tilts * value - tilts**2 / 2) >= math.log(limit):
            alarms += 1
            detector = Detector.fresh(detector.weights)
    assert 0 < alarms <= 1.3 * windows / limit


def test_detectors_find_a_change_soon_and_start_at_nothing() -> None:
    detector = Detector.fresh(np.array([1.0]))
    assert detector.level == -math.inf
    assert detector.add(np.array([0.0])) == pytest.approx(0)
    assert detector.add(np.array([math.log(3)])) == pytest.approx(math.log(6))


def test_the_threshold_follows_from_windows_streams_and_alarms() -> None:
    assert math.exp(sequential.threshold(720, 20)) == pytest.approx(720 * 20 / 0.35)
    assert sequential.threshold(0, 0) == 0
    # with a mean of 0.35 a month (Poisson), more than one alarm is in one month of twenty
    assert 1 - math.exp(-0.35) * 1.35 < 0.05


def test_confidence_sequences_hold_at_all_times() -> None:
    draw = np.random.default_rng(1)
    missed = 0
    for _ in range(200):
        low, high = sequential.bounds((draw.random(400) < 0.1).astype(float), 0.9)
        missed += bool((low > 0.1).any() or (high < 0.1).any())
    assert missed <= 0.1 * 200
    assert high[-1] - low[-1] < 0.15
    assert (np.diff(low) >= 0).all()
    empty = sequential.bounds(np.zeros(0))
    assert [len(bound) for bound in empty] == [0, 0]
