"""Confidence intervals of proportions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from fieldcraft.statistics.proportions import wilson_interval


def test_the_interval_is_wilsons() -> None:
    interval = wilson_interval(8, 20)  # Newcombe 1998, table I
    assert (interval.value, interval.level) == (0.4, 0.95)
    assert (interval.low, interval.high) == pytest.approx((0.2188, 0.6134), abs=1e-4)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.998])
@pytest.mark.parametrize(
    ("count", "rows"),
    [(0, 1), (1, 1), (0, 30), (1, 30), (30, 30), (8, 20), (500, 1_000), (3, 10**6)],
)
def test_the_interval_is_scipys(count: int, rows: int, level: float) -> None:
    interval = wilson_interval(count, rows, level)
    expected = binomtest(count, rows).proportion_ci(level, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (interval.value, interval.level) == (count / rows, level)


@pytest.mark.parametrize(("count", "rows"), [(0, 10), (10, 10), (0, 1), (1, 1)])
def test_the_interval_stays_within_zero_and_one(count: int, rows: int) -> None:
    interval = wilson_interval(count, rows)
    assert 0 <= interval.low <= count / rows <= interval.high <= 1
    assert interval.low < interval.high


def test_without_rows_the_interval_is_zero_to_one() -> None:
    interval = wilson_interval(0, 0)
    assert (interval.low, interval.high) == (0, 1)
    assert np.isnan(interval.value)


def test_the_interval_has_its_coverage() -> None:
    counts = np.random.default_rng(0).binomial(60, 0.1, 2_000)
    inside = [
        wilson_interval(int(count), 60).low <= 0.1 <= wilson_interval(int(count), 60).high
        for count in counts
    ]
    assert 0.93 < np.mean(inside) < 0.98
