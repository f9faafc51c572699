"""Whether values depend on the order in which they stand."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.evidence.order import drift, neighbours, runs, spread_out, unexplained

DRAW = np.random.default_rng(0)
ROWS = 1_000
WAVE = np.sin(np.arange(ROWS) / 10)
NOISE = DRAW.normal(size=ROWS)
RISING = (DRAW.random(ROWS) < np.linspace(0.2, 0.8, ROWS)).astype(int)
OTHER = DRAW.integers(0, 5, ROWS)


def column(values: np.ndarray) -> np.ndarray:
    return spread_out(values, True)


def test_a_target_is_spread_out_as_ranks_or_as_its_commonest_classes() -> None:
    assert spread_out(np.array([3.0, 9.0, 5.0]), True).tolist() == [[1], [3], [2]]
    many = np.repeat(np.arange(15), np.arange(1, 16))
    assert spread_out(many, False).shape == (120, 10)
    assert spread_out(many, False).sum() == sum(range(6, 16))


def test_unordered_values_have_unlike_neighbours_and_no_drift() -> None:
    assert neighbours(column(NOISE)).share < 0.1
    assert abs(neighbours(column(NOISE)).score) < 4
    assert drift(column(NOISE)).score < 4


def test_a_wave_has_like_neighbours_but_little_drift() -> None:
    alike = neighbours(column(WAVE + 0.3 * NOISE))
    assert alike.share == pytest.approx(0.84, abs=0.05)
    assert alike.score > 20
    fast = np.sin(np.arange(ROWS) / 2)
    assert drift(column(fast)).share < 0.05


def test_a_slow_change_is_a_drift_though_neighbours_are_hardly_alike() -> None:
    columns = spread_out(RISING, False)
    assert drift(columns).share == pytest.approx(0.12, abs=0.06)
    assert drift(columns).score > neighbours(columns).score


def test_likeness_that_other_columns_explain_is_taken_away() -> None:
    bins = np.digitize(WAVE, np.linspace(-1, 1, 20))
    columns = column(WAVE + 0.5 * NOISE)
    assert neighbours(unexplained(columns, [bins])).share < 0.15
    assert neighbours(unexplained(columns, [OTHER])).share > 0.5


@pytest.mark.parametrize("values", [np.zeros(500), np.arange(4.0), np.zeros(0)])
def test_too_little_to_see_is_nothing(values: np.ndarray) -> None:
    assert neighbours(values[:, None]).share == 0
    assert drift(values[:, None]).share == 0


@pytest.mark.parametrize(("values", "count"), [([], 0), ([1], 1), ([1, 1, 2, 1], 3)])
def test_runs_are_stretches_of_equal_values(values: list[int], count: int) -> None:
    assert runs(np.array(values)) == count
