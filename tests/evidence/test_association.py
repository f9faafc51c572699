"""Measures of association: known values, chance taken away, gaps, functions."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from fieldcraft.evidence.association import (
    correlation_ratio,
    each_target,
    entropy,
    exactness,
    goodman_kruskal,
    levels_of,
    numbers_of,
    power_of,
    purest,
    rank_correlation,
    ranks,
    some,
    uncertainty,
    variance_told,
)

DRAW = np.random.default_rng(0)
ROWS = 1_000
CODES, OTHER = DRAW.integers(0, 4, ROWS), DRAW.integers(0, 4, ROWS)
EVERY_THIRD = np.arange(ROWS) % 3 == 0
NOISE = DRAW.normal(size=ROWS)


def test_a_sample_keeps_the_order_and_a_small_table_whole() -> None:
    assert some(5, 9).tolist() == [0, 1, 2, 3, 4]
    chosen = some(1_000, 50)
    assert len(set(chosen)) == 50
    assert (np.diff(chosen) > 0).all()


def test_numbers_truths_and_moments_are_numbers_and_words_are_not() -> None:
    assert numbers_of(pl.Series([True, None])).tolist()[0] == 1.0  # type: ignore[union-attr]
    day = pl.Series(["1970-01-02"]).str.to_date()
    assert numbers_of(day).tolist() == [86_400.0]  # type: ignore[union-attr]
    assert numbers_of(day.cast(pl.Datetime("us"))).tolist() == [86_400.0]  # type: ignore[union-attr]
    assert numbers_of(pl.Series(["1"])) is None


def test_levels_are_codes_from_zero_with_one_for_what_is_missing() -> None:
    assert levels_of(pl.Series("row", ["b", None, "a", "b"])).tolist() == [0, 1, 2, 0]
    assert levels_of(pl.Series([2.0, None, 1.0, 2.0] * 5))[:4].tolist() == [1, 2, 0, 1]
    assert levels_of(pl.Series([[1], None, [2]])).max() == 1
    assert levels_of(pl.Series([], dtype=pl.Float64)).tolist() == []


def test_many_numbers_are_cut_into_bins_of_like_size() -> None:
    codes = levels_of(pl.Series(NOISE), 10)
    assert np.bincount(codes).tolist() == pytest.approx([100] * 10, abs=1)


def test_ranks_share_ties_and_correlation_of_ranks_is_free_of_scale() -> None:
    assert ranks(np.array([5.0, 1.0, 5.0])).tolist() == [2.5, 1.0, 2.5]
    assert rank_correlation(NOISE, np.exp(NOISE)) == pytest.approx(1)
    assert rank_correlation(NOISE, np.zeros(ROWS)) == 0


def test_targets_come_one_by_one() -> None:
    assert each_target(CODES, ["y"])[0][0] == "y"
    labels = np.array([[0.0, 1.0], [1.0, 1.0]])
    assert [(n, y.tolist()) for n, y in each_target(labels, ["a", "b"])] == [
        ("a", [0, 1]),
        ("b", [1, 1]),
    ]


@pytest.mark.parametrize("value", [True, False])
def test_power_is_one_for_the_target_itself_and_none_for_chance(value: bool) -> None:
    assert power_of(CODES, CODES, value) == pytest.approx(1, abs=0.001)
    assert power_of(OTHER, CODES, value) < 0.02
    assert power_of(np.zeros(ROWS, dtype=np.int64), CODES, value) == 0
    assert power_of(np.arange(ROWS) // 2, CODES, value) == 0, "too few rows a level"


def test_correlation_ratio_is_the_share_of_the_variance_of_ranks() -> None:
    y = CODES + NOISE
    place = ranks(y)
    means = np.array([place[k == CODES].mean() for k in range(4)])[CODES]
    assert correlation_ratio(CODES, y) == pytest.approx(means.var() / place.var(), abs=0.01)


def test_variance_told_on_indicators_is_goodman_and_kruskals_tau() -> None:
    y = np.where(EVERY_THIRD, CODES, OTHER)
    table = np.zeros((4, 4))
    np.add.at(table, (CODES, y), 1 / ROWS)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    tau = ((table**2 / rows[:, None]).sum() - (columns**2).sum()) / (1 - (columns**2).sum())
    assert variance_told(CODES, (y[:, None] == np.arange(4)).astype(float)) == pytest.approx(
        tau, abs=0.005
    )


def test_lambda_weighs_classes_alike_and_may_stop_early() -> None:
    rare = (np.arange(ROWS) < 50).astype(int)
    flag = (np.arange(ROWS) < 40).astype(int)
    assert goodman_kruskal(flag, rare) == pytest.approx(0.8, abs=0.03)
    assert goodman_kruskal(flag, rare, least=0.95) == 0
    assert goodman_kruskal(flag[:5], rare[:5]) == 0


def test_uncertainty_is_one_sided() -> None:
    half = CODES // 2
    assert uncertainty(CODES, half) == pytest.approx(1, abs=0.01)
    assert uncertainty(half, CODES) == pytest.approx(0.5, abs=0.01)
    assert uncertainty(CODES, OTHER) < 0.01
    assert uncertainty(CODES, np.zeros(ROWS, dtype=np.int64)) == 0


def test_entropy_of_even_counts_is_the_logarithm_of_how_many() -> None:
    assert entropy(np.array([5, 5, 0, 5])) == pytest.approx(math.log(3))


def test_the_purest_code_is_the_one_that_makes_a_class_surest() -> None:
    codes = np.repeat([0, 1, 2], [400, 100, 20])
    y = np.concatenate([np.arange(400) % 2, np.arange(100) >= 2, np.ones(20)]).astype(int)
    best = purest(codes, y)
    assert (best.code, best.target, best.rows, best.share) == (1, 1, 100, 0.98)
    assert 0.7 < best.lift < 0.96
    assert purest(codes[:0], y[:0]).rows == 0


@pytest.mark.parametrize(
    ("x", "exact"),
    [
        (NOISE, True),
        (np.exp(-NOISE), True),
        (np.round(NOISE, 1), True),
        (np.where(DRAW.random(ROWS) < 0.01, 0, NOISE), True),
        (NOISE + DRAW.normal(0, 0.05, ROWS), False),
        (np.round(NOISE + DRAW.normal(0, 0.05, ROWS), 1), False),
        (DRAW.normal(size=ROWS), False),
        (np.zeros(ROWS), False),
    ],
    ids=["same", "falling", "steps", "a few astray", "noisy", "noisy steps", "noise", "constant"],
)
def test_exactness_tells_a_function_from_a_strong_relation(x: np.ndarray, exact: bool) -> None:
    assert (exactness(x, NOISE) >= 0.99) is exact


def test_a_function_need_not_be_monotone() -> None:
    x = np.linspace(-2, 2, ROWS)
    assert exactness(x, x**2) > 0.99
    assert exactness(x**2, x) < 0.6
