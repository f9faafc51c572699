"""Measures of association: known values, adjustment for chance, missing values, functions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import mutual_info_score

from fieldcraft.core.types import Array
from fieldcraft.statistics.association import (
    association_strength,
    average_ranks,
    best_balanced_accuracy,
    chatterjee_xi,
    correlation_ratio,
    encode_levels,
    entropy,
    explained_variance_fraction,
    find_best_lift,
    goodman_kruskal_lambda,
    quantile_codes,
    sample_rows,
    spearman_correlation,
    split_targets,
    step_function_score,
    theils_u,
    to_floats,
)

RNG = np.random.default_rng(0)
N_ROWS = 1_000
CODES, OTHER_CODES = RNG.integers(0, 4, N_ROWS), RNG.integers(0, 4, N_ROWS)
EVERY_THIRD = np.arange(N_ROWS) % 3 == 0
NOISE = RNG.normal(size=N_ROWS)


def test_a_sample_keeps_the_order_and_small_tables_are_not_sampled() -> None:
    assert sample_rows(5, 9).tolist() == [0, 1, 2, 3, 4]
    chosen = sample_rows(1_000, 50)
    assert len(set(chosen)) == 50
    assert (np.diff(chosen) > 0).all()


def test_numbers_booleans_and_times_become_floats() -> None:
    assert to_floats(pl.Series([True, None])).tolist()[0] == 1.0  # type: ignore[union-attr]
    day = pl.Series(["1970-01-02"]).str.to_date()
    assert to_floats(day).tolist() == [86_400.0]  # type: ignore[union-attr]
    assert to_floats(day.cast(pl.Datetime("us"))).tolist() == [86_400.0]  # type: ignore[union-attr]
    assert to_floats(pl.Series(["1"])) is None


def test_levels_are_codes_from_zero_with_one_for_missing_values() -> None:
    assert encode_levels(pl.Series("row", ["b", None, "a", "b"])).tolist() == [0, 1, 2, 0]
    assert encode_levels(pl.Series([2.0, None, 1.0, 2.0] * 5))[:4].tolist() == [1, 2, 0, 1]
    assert encode_levels(pl.Series([[1], None, [2]])).max() == 1
    assert encode_levels(pl.Series([], dtype=pl.Float64)).tolist() == []


def test_many_numbers_get_bins_of_equal_count() -> None:
    codes = encode_levels(pl.Series(NOISE), 10)
    assert np.bincount(codes).tolist() == pytest.approx([100] * 10, abs=1)


def test_ties_share_ranks_and_rank_correlation_ignores_scale() -> None:
    assert average_ranks(np.array([5.0, 1.0, 5.0])).tolist() == [2.5, 1.0, 2.5]
    assert spearman_correlation(NOISE, np.exp(NOISE)) == pytest.approx(1)
    assert spearman_correlation(NOISE, np.zeros(N_ROWS)) == 0


def test_targets_are_split_into_columns() -> None:
    assert split_targets(CODES, ["y"])[0][0] == "y"
    labels = np.array([[0.0, 1.0], [1.0, 1.0]])
    assert [(n, y.tolist()) for n, y in split_targets(labels, ["a", "b"])] == [
        ("a", [0, 1]),
        ("b", [1, 1]),
    ]


@pytest.mark.parametrize("value", [True, False])
def test_strength_is_one_for_the_target_itself_and_zero_for_noise(value: bool) -> None:
    assert association_strength(CODES, CODES, value) == pytest.approx(1, abs=0.001)
    assert association_strength(OTHER_CODES, CODES, value) < 0.02
    assert association_strength(np.zeros(N_ROWS, dtype=np.int64), CODES, value) == 0
    assert association_strength(np.arange(N_ROWS) // 2, CODES, value) == 0, "too few rows a level"


def test_correlation_ratio_is_the_explained_fraction_of_the_variance_of_ranks() -> None:
    y = CODES + NOISE
    place = average_ranks(y)
    means = np.array([place[k == CODES].mean() for k in range(4)])[CODES]
    assert correlation_ratio(CODES, y) == pytest.approx(means.var() / place.var(), abs=0.01)


def test_explained_variance_of_indicators_is_goodman_and_kruskals_tau() -> None:
    y = np.where(EVERY_THIRD, CODES, OTHER_CODES)
    table = np.zeros((4, 4))
    np.add.at(table, (CODES, y), 1 / N_ROWS)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    tau = ((table**2 / rows[:, None]).sum() - (columns**2).sum()) / (1 - (columns**2).sum())
    assert explained_variance_fraction(
        CODES, (y[:, None] == np.arange(4)).astype(float)
    ) == pytest.approx(tau, abs=0.005)


def test_lambda_balances_classes_and_may_stop_early() -> None:
    rare = (np.arange(N_ROWS) < 50).astype(int)
    flag = (np.arange(N_ROWS) < 40).astype(int)
    assert goodman_kruskal_lambda(flag, rare) == pytest.approx(0.8, abs=0.03)
    assert goodman_kruskal_lambda(flag, rare, min_strength=0.95) == 0
    assert goodman_kruskal_lambda(flag[:5], rare[:5]) == 0


def test_theils_u_is_asymmetric() -> None:
    half = CODES // 2
    assert theils_u(CODES, half) == pytest.approx(1, abs=0.01)
    assert theils_u(half, CODES) == pytest.approx(0.5, abs=0.01)
    assert theils_u(CODES, OTHER_CODES) < 0.01
    assert theils_u(CODES, np.zeros(N_ROWS, dtype=np.int64)) == 0


def test_entropy_of_equal_counts_is_the_logarithm_of_their_number() -> None:
    assert entropy(np.array([5, 5, 0, 5])) == pytest.approx(math.log(3))


def test_the_best_lift_is_of_the_code_that_makes_a_class_most_certain() -> None:
    codes = np.repeat([0, 1, 2], [400, 100, 20])
    y = np.concatenate([np.arange(400) % 2, np.arange(100) >= 2, np.ones(20)]).astype(int)
    best = find_best_lift(codes, y)
    assert (best.code, best.class_index, best.n_rows, best.confidence) == (1, 1, 100, 0.98)
    assert 0.7 < best.lift < 0.96
    assert find_best_lift(codes[:0], y[:0]).n_rows == 0


@pytest.mark.parametrize(
    ("x", "exact"),
    [
        (NOISE, True),
        (np.exp(-NOISE), True),
        (np.round(NOISE, 1), True),
        (np.where(RNG.random(N_ROWS) < 0.01, 0, NOISE), True),
        (NOISE + RNG.normal(0, 0.05, N_ROWS), False),
        (np.round(NOISE + RNG.normal(0, 0.05, N_ROWS), 1), False),
        (RNG.normal(size=N_ROWS), False),
        (np.zeros(N_ROWS), False),
    ],
    ids=["same", "falling", "steps", "a few astray", "noisy", "noisy steps", "noise", "constant"],
)
def test_xi_separates_a_function_from_a_strong_correlation(x: np.ndarray, exact: bool) -> None:
    assert (chatterjee_xi(x, NOISE) >= 0.99) is exact


def test_a_function_need_not_be_monotone() -> None:
    x = np.linspace(-2, 2, N_ROWS)
    assert chatterjee_xi(x, x**2) > 0.99
    assert chatterjee_xi(x**2, x) < 0.6


def targets_by_code(codes: Array, y: Array) -> dict[int, list[int]]:
    """The targets of each code, without vectorization."""
    return {int(code): [int(v) for v in y[codes == code]] for code in np.unique(codes)}


RANDOM = [
    (draw.integers(0, 5, 200), draw.integers(0, 3, 200))
    for draw in map(np.random.default_rng, range(3))
]
with_random_codes = pytest.mark.parametrize(("codes", "y"), RANDOM)


@with_random_codes
def test_explained_variance_is_one_minus_the_ratio_of_mean_squares(codes: Array, y: Array) -> None:
    y = y + (codes == 2)
    within = sum(
        sum((v - np.mean(vs)) ** 2 for v in vs) for vs in targets_by_code(codes, y).values()
    )
    total = sum((v - y.mean()) ** 2 for v in y)
    expected = 1 - (within / (200 - 5)) / (total / (200 - 1))
    columns = np.stack([y, 3 - y], axis=1).astype(float)
    assert explained_variance_fraction(codes, columns) == pytest.approx(max(expected, 0))
    assert explained_variance_fraction(2 * codes, columns) == pytest.approx(
        max(expected, 0)
    )  # codes with gaps
    assert explained_variance_fraction(codes, np.ones((200, 1))) == 0


@with_random_codes
def test_the_best_accuracy_is_balanced_over_the_classes(codes: Array, y: Array) -> None:
    sizes = np.bincount(y)
    by_code = (
        max(vs.count(k) / sizes[k] for k in range(3)) for vs in targets_by_code(codes, y).values()
    )
    assert best_balanced_accuracy(codes, y, 3) == pytest.approx(sum(by_code) / 3)


def test_lambda_is_the_gain_over_permuted_targets() -> None:
    codes, y = np.repeat(np.arange(8), 25), np.repeat(np.arange(2), 100)
    y = np.where(np.arange(200) % 5 == 0, 1 - y, y)
    draw = np.random.default_rng(9)
    chance = np.mean([best_balanced_accuracy(codes, draw.permutation(y), 2) for _ in range(500)])
    expected = (best_balanced_accuracy(codes, y, 2) - chance) / (1 - chance)
    assert chance > 0.55  # eight codes guess right by chance alone
    assert goodman_kruskal_lambda(codes, y) == pytest.approx(expected, abs=0.03)
    assert goodman_kruskal_lambda(codes, draw.permutation(y)) < 0.06


def test_classes_with_fewer_than_ten_rows_are_left_out_of_lambda() -> None:
    y = np.repeat([0, 1, 2], [50, 50, 9])
    assert goodman_kruskal_lambda(y, y) == pytest.approx(1)
    codes = np.repeat([0, 1, 0], [50, 50, 9])
    assert goodman_kruskal_lambda(codes, y) == pytest.approx(1)  # the nine would be guessed wrong
    assert (
        goodman_kruskal_lambda(
            np.repeat([0, 1, 0], [50, 50, 10]), np.repeat([0, 1, 2], [50, 50, 10])
        )
        < 0.8
    )


def test_lambda_below_the_minimum_is_zero() -> None:
    codes, y = np.repeat([0, 1], 100), np.repeat([0, 1], 100)
    y = np.where(np.arange(200) % 4 == 0, 1 - y, y)  # three in four are guessed right
    assert (
        goodman_kruskal_lambda(codes, y, min_strength=0.49)
        == goodman_kruskal_lambda(codes, y)
        > 0.4
    )
    assert goodman_kruskal_lambda(codes, y, min_strength=0.51) == 0


def test_a_code_needs_five_rows_on_average() -> None:
    codes = np.arange(100) % 20
    assert association_strength(codes, codes, True) == pytest.approx(1)
    assert association_strength(codes[:99], codes[:99], True) == 0
    assert association_strength(codes[:0], codes[:0], True) == 0
    assert association_strength(
        np.arange(100) % 2, np.arange(100) % 2, False, min_strength=0.5
    ) == pytest.approx(1)


@with_random_codes
def test_theils_u_is_the_mutual_information_minus_that_of_chance(codes: Array, y: Array) -> None:
    y = np.where(np.arange(200) % 2, y, codes % 3)
    bias = (5 - 1) * (3 - 1) / (2 * 200)  # Miller & Madow
    expected = (mutual_info_score(codes, y) - bias) / stats.entropy(np.bincount(y))
    assert 0.02 < expected < 0.9
    assert theils_u(codes, y) == pytest.approx(expected)
    assert entropy(np.bincount(y)) == pytest.approx(stats.entropy(np.bincount(y)))
    assert theils_u(codes[:0], y[:0]) == 0


def brute_force_lift(codes: Array, y: Array, min_rows: int) -> tuple[float, int, int]:
    """The best code by an exhaustive search over codes and classes."""
    best = (0.0, 0, 0)
    for code, targets in targets_by_code(codes, y).items():
        for k in np.unique(y).tolist() if len(targets) >= min_rows else []:
            low = stats.binomtest(targets.count(k), len(targets)).proportion_ci(method="wilson").low
            usual = float((y == k).mean())
            best = max(best, ((low - usual) / (1 - usual), code, k))
    return best


@pytest.mark.parametrize("seed", range(4))
def test_the_best_lift_is_that_of_an_exhaustive_search(seed: int) -> None:
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 6, 400)
    y = np.where(draw.random(400) < 0.15 * codes, codes % 3, draw.integers(0, 3, 400))
    best, (lift, code, target) = find_best_lift(codes, y), brute_force_lift(codes, y, 30)
    assert (best.code, best.class_index) == (code, target)
    assert best.lift == pytest.approx(lift)
    assert best.n_rows == (codes == code).sum()
    assert best.confidence == pytest.approx((y[codes == code] == target).mean())


def test_a_code_needs_thirty_rows_to_identify_a_class() -> None:
    for rows, code in ((29, 0), (30, 1)):
        codes = np.repeat([0, 1], [300, rows])
        y = np.concatenate([np.arange(300) % 2, np.ones(rows, dtype=int)])
        assert find_best_lift(codes, y).code == code
    assert find_best_lift(np.zeros(50, dtype=int), np.zeros(50, dtype=int)).lift == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("noise", [0.3, 3.0])
def test_xi_leaves_out_the_rows_that_deviate_most(seed: int, noise: float) -> None:
    draw = np.random.default_rng(seed)
    x = draw.permutation(150).astype(float)
    y = (x - 70) ** 2 / 1_000 + draw.normal(0, noise, 150)
    place = stats.rankdata(y)
    steps = sorted(abs(a - b) for a, b in itertools.pairwise(place[np.argsort(x)]))
    kept = steps[: int(149 * 0.98)]
    by_chance = np.mean([abs(a - b) for a in place for b in place]) * len(kept)
    expected = 1 - (sum(kept) - 149) / (by_chance - 149)
    assert chatterjee_xi(x, y) == pytest.approx(max(expected, 0), abs=1e-9)


def test_a_step_function_needs_targets_that_do_not_overlap() -> None:
    x = np.repeat(np.arange(20), 5).astype(float)
    y = 10 * x + np.tile(np.arange(5), 20)
    assert chatterjee_xi(x, y) == 1
    mixed = y.copy()
    mixed[[0, 99]] = mixed[[99, 0]]  # the first and the last value span everything
    # 18 values span 5 ranks each, two span all 100: 100 ranks out of 18 * 5 + 2 * 96.
    place = stats.rankdata(mixed)
    spans = sum(np.ptp(place[x == value]) + 1 for value in range(20))
    assert step_function_score(x, place) == pytest.approx(100 / spans)
    assert step_function_score(np.arange(5.0), np.arange(5.0)) == 0
    assert step_function_score(np.repeat([1.0, 2.0], 2), np.arange(4.0)) == 1


def test_ties_are_in_random_order() -> None:
    x, y = np.repeat([0.0, 1.0], 500), np.tile(np.arange(500.0), 2)
    assert chatterjee_xi(x, y) < 0.6  # sorted within each value, which is no relation to x


@pytest.mark.parametrize("seed", range(2))
def test_ranks_and_their_correlation_are_those_of_scipy(seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 9, (2, 50)).astype(float)
    assert average_ranks(a) == pytest.approx(stats.rankdata(a))
    assert spearman_correlation(a, a + b) == pytest.approx(stats.spearmanr(a, a + b).statistic)
    assert spearman_correlation(a[:1], b[:1]) == 0


def test_bins_have_five_rows_each_and_one_is_for_missing_values() -> None:
    values = np.append(np.arange(50.0), [np.nan] * 10)  # 60 rows: eleven bins and one
    codes = quantile_codes(values)
    assert len(np.unique(codes)) == 12
    assert (codes[50:] == codes.max()).all()
    assert (np.diff(codes[:50]) >= 0).all()
    assert codes.max() > codes[:50].max()
    assert len(np.unique(quantile_codes(np.arange(10_000.0)))) == 64
    assert quantile_codes(np.array([3.0, 1.0, 3.0])).tolist() == [1, 0, 1]
    assert quantile_codes(np.full(4, np.nan)).tolist() == [0] * 4
