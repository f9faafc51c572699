"""Tests of whether values depend on the order of the rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fieldcraft.statistics.serial_dependence import (
    count_runs,
    residuals_given,
    serial_correlation,
    target_columns,
    trend,
)

RNG = np.random.default_rng(0)
N_ROWS = 1_000
WAVE = np.sin(np.arange(N_ROWS) / 10)
NOISE = RNG.normal(size=N_ROWS)
RISING = (RNG.random(N_ROWS) < np.linspace(0.2, 0.8, N_ROWS)).astype(int)
UNRELATED_CODES = RNG.integers(0, 5, N_ROWS)


def rank_column(values: np.ndarray) -> np.ndarray:
    return target_columns(values, True)


def test_a_target_becomes_ranks_or_indicators_of_its_largest_classes() -> None:
    assert target_columns(np.array([3.0, 9.0, 5.0]), True).tolist() == [[1], [3], [2]]
    many = np.repeat(np.arange(15), np.arange(1, 16))
    assert target_columns(many, False).shape == (120, 10)
    assert target_columns(many, False).sum() == sum(range(6, 16))


def test_shuffled_values_have_no_serial_correlation_and_no_trend() -> None:
    assert serial_correlation(rank_column(NOISE)).variance_fraction < 0.1
    assert abs(serial_correlation(rank_column(NOISE)).z_score) < 4
    assert trend(rank_column(NOISE)).z_score < 4


def test_a_wave_has_serial_correlation_but_little_trend() -> None:
    alike = serial_correlation(rank_column(WAVE + 0.3 * NOISE))
    assert alike.variance_fraction == pytest.approx(0.84, abs=0.05)
    assert alike.z_score > 20
    fast = np.sin(np.arange(N_ROWS) / 2)
    assert trend(rank_column(fast)).variance_fraction < 0.05


def test_a_slow_change_is_a_trend_with_little_serial_correlation() -> None:
    columns = target_columns(RISING, False)
    assert trend(columns).variance_fraction == pytest.approx(0.12, abs=0.06)
    assert trend(columns).z_score > serial_correlation(columns).z_score


def test_serial_correlation_explained_by_other_columns_is_removed() -> None:
    bins = np.digitize(WAVE, np.linspace(-1, 1, 20))
    columns = rank_column(WAVE + 0.5 * NOISE)
    assert serial_correlation(residuals_given(columns, [bins])).variance_fraction < 0.15
    assert serial_correlation(residuals_given(columns, [UNRELATED_CODES])).variance_fraction > 0.5


@pytest.mark.parametrize("values", [np.zeros(500), np.arange(4.0), np.zeros(0)])
def test_too_few_or_constant_values_have_no_dependence(values: np.ndarray) -> None:
    assert serial_correlation(values[:, None]).variance_fraction == 0
    assert trend(values[:, None]).variance_fraction == 0


@pytest.mark.parametrize(("values", "count"), [([], 0), ([1], 1), ([1, 1, 2, 1], 3)])
def test_runs_are_sequences_of_equal_values(values: list[int], count: int) -> None:
    assert count_runs(np.array(values)) == count


def test_serial_correlation_is_the_correlation_at_lag_one() -> None:
    values = RNG.normal(size=(80, 2)).cumsum(axis=0)
    centred = values - values.mean(axis=0)
    products = sum(a @ b for a, b in itertools.pairwise(centred))
    result = serial_correlation(values)
    assert result.variance_fraction == pytest.approx(products / (centred**2).sum())
    assert serial_correlation(-values) == result
    assert serial_correlation(values / 2**20) == result  # whatever the unit
    assert serial_correlation(values + 7).variance_fraction == pytest.approx(
        result.variance_fraction
    )


def test_the_z_score_is_in_standard_deviations_of_permutations() -> None:
    scores = [
        serial_correlation(np.random.default_rng(k).normal(size=(400, 1))).z_score
        for k in range(200)
    ]
    assert np.mean(scores) == pytest.approx(0, abs=0.3)
    assert np.std(scores) == pytest.approx(1, abs=0.25)
    # Of few rows shuffled ones have a correlation below 0, which is what is expected of these too.
    few = [
        serial_correlation(np.random.default_rng(k).normal(size=(24, 1))).z_score
        for k in range(800)
    ]
    assert np.mean(few) == pytest.approx(0, abs=0.12)
    wave = WAVE[:400, None] + 2 * NOISE[:400, None]
    # Wald and Wolfowitz: without order the correlation has the mean -1/n and the variance 1/n.
    expected = (serial_correlation(wave).variance_fraction + 1 / 400) * 20
    assert serial_correlation(wave).z_score == pytest.approx(expected, rel=0.35)


def test_negative_serial_correlation_is_zero_with_a_negative_z_score() -> None:
    result = serial_correlation(np.tile([0.0, 1.0], 50)[:, None])
    assert result.variance_fraction == 0
    assert result.z_score < -5


@pytest.mark.parametrize(("rows", "blocks"), [(20, 2), (59, 5), (1_000, 20)])
def test_a_trend_is_the_variance_that_blocks_of_the_order_explain(rows: int, blocks: int) -> None:
    y = np.arange(rows) + 0.3 * rows * NOISE[:rows]
    codes = np.repeat(np.arange(blocks), [len(p) for p in np.array_split(np.arange(rows), blocks)])
    if rows == 59:
        codes = np.arange(59) * 5 // 59
    within = sum(((y[codes == k] - y[codes == k].mean()) ** 2).sum() for k in range(blocks))
    share = 1 - (within / (rows - blocks)) / y.var(ddof=1)
    result = trend(y[:, None])
    assert result.variance_fraction == pytest.approx(share)
    assert result.z_score == pytest.approx(share * rows / (2 * (blocks - 1)) ** 0.5)
    assert trend(y[:19, None]).variance_fraction == 0


def test_the_z_score_of_a_trend_is_that_of_a_chi_square() -> None:
    chance = [trend(np.random.default_rng(k).normal(size=(1_000, 1))).z_score for k in range(300)]
    # Below 0 it is cut off; a chi-square of 19 is above its mean by a deviation in 15 %.
    assert np.mean(np.array(chance) > 1) == pytest.approx(0.155, abs=0.06)
    assert max(chance) < 5


def test_subtracted_means_are_shrunk_to_the_overall_mean() -> None:
    codes = np.repeat([0, 1], [40, 20])
    columns = np.where(codes == 1, 3.0, 0.0)[:, None]
    left = columns - 1  # the mean is 1
    for _ in range(4):  # seven tenths of each level's mean, as if of five rows more
        for code, rows in ((0, 40), (1, 20)):
            left[codes == code] *= 1 - 0.7 * rows / (rows + 5)
    assert residuals_given(columns, [codes]) == pytest.approx(left)
    assert residuals_given(columns, []) == pytest.approx(columns - 1)


def test_the_largest_classes_have_a_column_each_by_size() -> None:
    y = np.repeat([4, 7, 9], [2, 5, 3])
    columns = target_columns(y, False)
    assert columns.sum(axis=0).tolist() == [5, 3, 2]
    assert columns[0].tolist() == [0, 0, 1]
