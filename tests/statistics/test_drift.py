"""Distances have their known values, and chance alone is not reported as drift."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr

from fieldcraft.statistics import drift
from fieldcraft.statistics.sequential import EDetector, alarm_threshold


def test_distances_are_zero_if_equal_and_one_if_disjoint() -> None:
    counts = np.array([10, 30, 60])
    assert drift.js_distance(counts, 7 * counts) == pytest.approx(0, abs=1e-8)
    assert drift.js_distance(np.array([5, 0]), np.array([0, 9])) == 1
    one, other = np.array([50, 50]), np.array([90, 10])
    assert drift.js_distance(one, other) == pytest.approx(drift.js_distance(other, one))
    middle = np.array([0.7, 0.3])
    by_hand = 0.5 * sum(
        float((p * np.log2(p / middle)).sum()) for p in (one / 100, other / 100)
    )  # fmt: skip
    assert drift.js_distance(one, other) == pytest.approx(math.sqrt(by_hand))


def test_the_debiased_distance_is_that_of_the_true_distributions() -> None:
    draw = np.random.default_rng(0)
    shares = np.full(20, 0.05)
    shifted = shares * np.linspace(0.8, 1.2, 20)
    true = drift.js_distance(shares, shifted)
    pairs = [(draw.multinomial(500, shifted), draw.multinomial(2_000, shares)) for _ in range(300)]
    raw = math.sqrt(np.mean([drift.js_distance(*pair) ** 2 for pair in pairs]))
    mended = math.sqrt(np.mean([drift.debiased_js_distance(*pair) ** 2 for pair in pairs]))
    assert abs(mended - true) < 0.3 * (raw - true)
    same = [
        drift.debiased_js_distance(draw.multinomial(500, shares), draw.multinomial(2_000, shares))
        for _ in range(200)
    ]
    assert np.median(same) < 0.03
    assert drift.debiased_js_distance(np.zeros(20), shares) == 0


def test_the_debiased_distance_subtracts_the_sampling_bias() -> None:
    window, reference = np.array([30, 70, 0, 0]), np.array([90, 90, 20, 0])
    nats = jensenshannon(window / 100, reference / 200) ** 2
    by_chance = 2 / 8 * (1 / 100 + 1 / 200)  # three bins are filled in either
    expected = math.sqrt((nats - by_chance) / math.log(2))
    assert drift.debiased_js_distance(window, reference) == pytest.approx(expected)
    assert drift.debiased_js_distance(reference, window) == pytest.approx(expected)
    assert drift.debiased_js_distance(window, 2 * window) == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_distance_is_that_of_scipy(seed: int) -> None:
    one, other = np.random.default_rng(seed).integers(0, 9, (2, 12))
    assert drift.js_distance(one, other) == pytest.approx(jensenshannon(one, other, base=2))
    rows = drift.js_divergence(np.stack([one, other]), np.stack([other, other]))
    assert rows == pytest.approx([jensenshannon(one, other) ** 2, 0])


def test_the_wasserstein_distance_of_a_shift_is_the_shift() -> None:
    quantiles = np.linspace(0, 10, 101)
    assert drift.wasserstein_1d(3 * quantiles, quantiles) == pytest.approx(
        10
    )  # 0 to 20, on average
    assert drift.wasserstein_1d(np.array([4.0]), np.array([1.5])) == 2.5
    assert drift.wasserstein_1d(quantiles + 2.5, quantiles) == pytest.approx(2.5)
    assert drift.wasserstein_1d(np.zeros(0), quantiles) == 0


@pytest.mark.parametrize("degrees", [2, 3, 10, 22, 42])
@pytest.mark.parametrize("level", [0.9, 0.99, drift.CONFIDENCE_LEVEL])
def test_chi_square_quantiles_are_those_of_scipy(degrees: int, level: float) -> None:
    expected = stats.chi2.ppf(level, degrees)
    assert drift.chi2_ppf(level, degrees) == pytest.approx(expected, rel=0.045 / degrees)


@pytest.mark.parametrize("shape", [1.0, 3.0, 10.0, 50.0])
def test_gamma_tails_are_those_of_scipy_and_conservative_far_out(shape: float) -> None:
    for chance, least, most in ((0.5, 0.99, 1.01), (0.1, 0.97, 1.0), (1e-3, 1, 1.16), (1e-6, 1, 3)):
        value = stats.gamma.isf(chance, shape, scale=0.7)
        assert least <= drift.gamma_sf(value, shape, 0.7) / chance <= most, chance
    assert drift.gamma_sf(0.0, shape, 0.7) == 1


def test_the_quantile_of_zero_degrees_of_freedom_is_zero() -> None:
    assert drift.chi2_ppf(0.998, 0) == 0
    assert drift.chi2_ppf(0.998, 1) == pytest.approx(stats.chi2.ppf(0.998, 1), rel=0.02)


def to_root_nats(tolerance: float) -> float:
    """A Jensen-Shannon distance as the root of a divergence in nats."""
    return tolerance * math.sqrt(math.log(2))


@pytest.mark.parametrize(
    ("tolerance", "rows"), [(0.0, 500), (0.02, 500), (0.0, 10**9), (0.02, 10**9), (0.1, 10**9)]
)
def test_the_null_distribution_agrees_with_theory(tolerance: float, rows: int) -> None:
    size, bins = 1_100, 20
    reference = drift.ReferenceDistribution(np.full(bins, rows // bins), tolerance=tolerance)
    table = reference.simulate_null(size)
    # Eight times a divergence in nats is a chi-square distance: the reference may itself be off
    # by its quantile, and what a window adds has bins - 1 degrees of freedom.
    apart = to_root_nats(tolerance) + math.sqrt(stats.chi2.ppf(0.998, bins - 1) / (8 * rows))
    assert table.shape * table.scale == pytest.approx(apart**2 + (bins - 1) / (8 * size), rel=0.02)
    # A non-central chi-square distribution has the variance 2 (degrees + 2 noncentrality).
    noncentral = 8 * size * apart**2
    variance = 2 * (bins - 1 + 2 * noncentral) / (8 * size) ** 2
    assert table.shape * table.scale**2 == pytest.approx(variance, rel=0.12)


def test_the_tolerance_is_a_shift_by_a_twentieth_of_a_standard_deviation() -> None:
    x = np.linspace(-8, 8, 4_001)
    expected = jensenshannon(stats.norm.pdf(x), stats.norm.pdf(x, 0.05), base=2)
    assert pytest.approx(expected, rel=0.07) == drift.MAX_TOLERATED_JS_DISTANCE


BINS = np.array([0.02, 0.0, *np.full(18, 0.05), 0.08])


def expected_e_values(reference: drift.ReferenceDistribution, truth: np.ndarray) -> np.ndarray:
    """The exact mean of each tilt's e-value for a window of one row."""
    rows = np.eye(len(truth), dtype=np.int64)
    tilts = [reference.log_e_values(row)[len(drift.CALIBRATOR_EXPONENTS) :] for row in rows]
    return np.asarray(truth @ np.exp(tilts))


def test_the_sampling_error_of_a_small_reference_is_no_drift() -> None:
    draw, above = np.random.default_rng(5), 0
    for _ in range(120):  # many models, each with a reference of its own
        reference = drift.ReferenceDistribution(draw.multinomial(200, BINS), slice(1, None))
        above += bool((expected_e_values(reference, BINS) > 1).any())
    assert above <= 1  # 0.2 % of each tilt


def tilted_probabilities(theta: float, scores: np.ndarray) -> np.ndarray:
    """The probabilities, shifted along the order."""
    tilted = BINS * np.exp(theta * scores)
    return np.asarray(tilted / tilted.sum())


@pytest.mark.parametrize("sign", [1, -1])
def test_shifts_up_to_the_tolerance_are_no_drift_and_larger_ones_are(sign: int) -> None:
    reference = drift.ReferenceDistribution((1e9 * BINS).round(), slice(1, None))
    assert reference.rank_scores is not None
    scores = reference.rank_scores

    def excess(theta: float, tolerance: float) -> float:
        return drift.js_distance(tilted_probabilities(theta, scores), BINS) - tolerance

    edge = brentq(excess, 0, sign, args=(drift.MAX_TOLERATED_JS_DISTANCE,))
    assert (expected_e_values(reference, tilted_probabilities(edge, scores)) < 1).all()
    beyond = brentq(excess, 0, sign, args=(2 * drift.MAX_TOLERATED_JS_DISTANCE,))
    means = expected_e_values(reference, tilted_probabilities(beyond, scores))
    up, down = means[::2], means[1::2]
    assert ((up if sign > 0 else down)[:2] > 1).all()
    assert ((down if sign > 0 else up) < 1).all()


@pytest.mark.parametrize("off", [0.0, drift.MAX_TOLERATED_JS_DISTANCE])
def test_p_values_are_valid(off: float) -> None:
    draw, p_values = np.random.default_rng(3), []
    roots = np.sqrt(BINS[2:20] / BINS[2:20].sum())
    for _ in range(25):
        turn = draw.normal(size=18)
        turn -= (turn @ roots) * roots
        truth = (roots + math.sqrt(2) * to_root_nats(off) * turn / np.linalg.norm(turn)) ** 2
        reference = drift.ReferenceDistribution(draw.multinomial(400, roots**2))
        windows = draw.multinomial(2_000, truth / truth.sum(), size=40)
        p_values += [reference.p_value(window) for window in windows]
    assert np.mean(np.array(p_values) < 0.05) < 0.05
    assert np.mean(np.array(p_values) < 0.5) < 0.5


def test_scores_of_ordered_bins_are_standardized_mid_ranks() -> None:
    counts = np.array([7, 3, 0, 5, 2])  # the first bin, of missing values, has no place
    reference = drift.ReferenceDistribution(counts, slice(1, None))
    places = stats.rankdata(np.repeat([1, 2, 3, 4], counts[1:]))
    centred = places - places.mean()
    spread = math.sqrt((centred**2).sum() / counts.sum())
    assert reference.rank_scores is not None
    assert reference.rank_scores[[1, 3, 4]] == pytest.approx(centred[[0, 3, 8]] / spread)
    assert reference.rank_scores[0] == 0
    assert drift.ReferenceDistribution(counts).rank_scores is None


def test_half_of_a_detector_tests_the_distribution_and_half_shifts() -> None:
    ordered, words = (
        drift.ReferenceDistribution(np.full(9, 50), order) for order in (slice(1, None), None)
    )
    assert ordered.detector_weights[:4].tolist() == [1 / 8] * 4
    assert ordered.detector_weights[4:].tolist() == pytest.approx([1 / 20] * 10)
    assert words.detector_weights.tolist() == [1 / 4] * 4


def test_e_values_of_the_whole_distribution_come_from_its_p_value() -> None:
    reference = drift.ReferenceDistribution(np.full(9, 50))
    window = np.arange(9) * 6
    p = reference.p_value(window)
    assert 1e-9 < p < 0.01
    expected = [k * p ** (k - 1) for k in (0.1, 0.3, 0.5, 0.8)]
    assert np.exp(reference.log_e_values(window)) == pytest.approx(expected)
    assert np.isfinite(reference.log_e_values(np.array([9_999] + [0] * 8))).all()


def test_rare_bins_are_pooled() -> None:
    reference = drift.ReferenceDistribution(np.array([500, 5, 500, 5, 5]))
    one, other = np.array([20, 4, 20, 0, 0]), np.array([20, 1, 20, 1, 2])
    assert reference.p_value(one) == reference.p_value(other) < 0.5
    assert reference.p_value(100 * one) < reference.p_value(100 * other)  # no longer rare


@pytest.mark.parametrize("size", [50, 2_000])
def test_e_values_have_a_mean_of_at_most_one_without_drift(size: int) -> None:
    draw = np.random.default_rng(2)
    shares = np.array([0, 0.0] + [0.05] * 18 + [0.1, 0])
    logs = []
    for _ in range(4):
        reference = drift.ReferenceDistribution(draw.multinomial(3_000, shares), slice(1, None))
        windows = draw.multinomial(size, shares, size=400)
        logs += [reference.log_e_values(window) for window in windows]
    assert (np.exp(logs).mean(axis=0) < 1.1).all()
    assert len(logs[0]) == len(reference.detector_weights)
    assert reference.detector_weights.sum() == pytest.approx(1)


def test_a_shift_is_detected_soon_and_a_tolerated_one_never() -> None:
    draw = np.random.default_rng(3)
    edges = np.quantile(draw.normal(size=50_000), np.linspace(0, 1, 21)[1:-1])

    def counts(rows: int, shift: float) -> np.ndarray:
        places = np.searchsorted(edges, draw.normal(size=rows) + shift) + 2
        return np.bincount(places, minlength=23)

    limit = alarm_threshold(720, 20)
    delays = {}
    for shift in (0.04, 0.2, 0.5):
        reference = drift.ReferenceDistribution(counts(5_000, 0), slice(1, None))
        detector = EDetector.create(reference.detector_weights)
        levels = [detector.update(reference.log_e_values(counts(500, shift))) for _ in range(60)]
        delays[shift] = next((i for i, level in enumerate(levels, 1) if level >= limit), None)
    assert delays[0.04] is None
    assert delays[0.2] is not None
    assert delays[0.2] <= 15
    assert delays[0.5] is not None
    assert delays[0.5] <= 2


def test_categories_have_no_order_and_degenerate_references_give_no_evidence() -> None:
    words = drift.ReferenceDistribution(np.array([0, 1, 0, 50, 49]))
    assert words.rank_scores is None
    assert words.p_value(np.array([0, 0, 0, 0, 0])) == 1
    assert words.p_value(np.array([0, 90, 0, 5, 5])) < 1e-6
    for counts in ([0, 0, 0], [0, 0, 7]):
        empty = drift.ReferenceDistribution(np.array(counts), slice(1, None))
        assert np.isfinite(empty.log_e_values(np.array([1, 2, 3]))).all()


def test_null_distributions_are_those_of_the_next_smaller_size() -> None:
    reference = drift.ReferenceDistribution(np.full(10, 200))
    assert reference.null_distribution(503) is reference.null_distribution(500)
    assert len(reference.null_distributions) == 1
    sizes = (500, 505)
    small, large = (reference.simulate_null(size) for size in (min(sizes) // 2, max(sizes)))
    assert small.shape * small.scale > large.shape * large.scale


@pytest.mark.parametrize(
    ("count", "rows", "share"), [(10, 100, 0.02), (30, 50, 0.3), (1, 3, 0.001), (7, 7, 0.9)]
)
def test_chernoffs_bound_is_above_the_exact_probability(
    count: int, rows: int, share: float
) -> None:
    seen = count / rows
    nats = rel_entr(seen, share) + rel_entr(1 - seen, 1 - share)
    assert drift.chernoff_p_value(count, rows, share) == pytest.approx(math.exp(-rows * nats))
    assert drift.chernoff_p_value(count, rows, share) >= stats.binom.sf(count - 1, rows, share) * (
        1 - 1e-9
    )


def test_no_more_events_than_expected_give_a_p_value_of_one() -> None:
    assert (
        drift.chernoff_p_value(2, 100, 0.02)
        == drift.chernoff_p_value(1, 100, 0.02)
        == drift.chernoff_p_value(0, 0, 0.5)
        == 1
    )
    assert drift.chernoff_p_value(3, 100, 0.02) < 1
    assert drift.chernoff_p_value(3, 10, 0.0) == 0


@pytest.mark.parametrize(
    ("count", "rows"), [(0, 100), (0, 5_000), (1, 50), (5, 100), (500, 1_000), (3, 3_000)]
)
def test_the_upper_bound_of_a_proportion_is_above_the_exact_one(count: int, rows: int) -> None:
    exact = stats.beta.ppf(drift.CONFIDENCE_LEVEL, count + 1, rows - count)  # Clopper & Pearson
    share = count / rows
    assert exact <= drift.proportion_upper_bound(count, rows) <= share + 1.7 * (exact - share)
    assert drift.proportion_upper_bound(rows, rows) == 1


def test_the_upper_bound_without_events_follows_from_the_rows() -> None:
    assert drift.proportion_upper_bound(0, 5_000) == pytest.approx(
        stats.norm.ppf(0.998) ** 2 / 5_000
    )
    assert drift.proportion_upper_bound(0, 0) == 1
