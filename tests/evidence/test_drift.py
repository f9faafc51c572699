"""Distances of counts are what they are called, and chance alone is not told as drift."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fieldcraft.evidence import drift
from fieldcraft.evidence.sequential import Detector, threshold


def test_distances_are_zero_if_alike_and_one_if_nothing_is_shared() -> None:
    counts = np.array([10, 30, 60])
    assert drift.distance(counts, 7 * counts) == pytest.approx(0, abs=1e-8)
    assert drift.distance(np.array([5, 0]), np.array([0, 9])) == 1
    one, other = np.array([50, 50]), np.array([90, 10])
    assert drift.distance(one, other) == pytest.approx(drift.distance(other, one))
    middle = np.array([0.7, 0.3])
    by_hand = 0.5 * sum(
        float((p * np.log2(p / middle)).sum()) for p in (one / 100, other / 100)
    )  # fmt: skip
    assert drift.distance(one, other) == pytest.approx(math.sqrt(by_hand))


def test_the_effect_of_samples_is_that_of_what_they_are_drawn_from() -> None:
    draw = np.random.default_rng(0)
    shares = np.full(20, 0.05)
    shifted = shares * np.linspace(0.8, 1.2, 20)
    true = drift.distance(shares, shifted)
    pairs = [(draw.multinomial(500, shifted), draw.multinomial(2_000, shares)) for _ in range(300)]
    raw = math.sqrt(np.mean([drift.distance(*pair) ** 2 for pair in pairs]))
    mended = math.sqrt(np.mean([drift.effect(*pair) ** 2 for pair in pairs]))
    assert abs(mended - true) < 0.3 * (raw - true)
    same = [drift.effect(draw.multinomial(500, shares), draw.multinomial(2_000, shares))
            for _ in range(200)]  # fmt: skip
    assert np.median(same) < 0.03
    assert drift.effect(np.zeros(20), shares) == 0


def test_the_distance_in_the_columns_own_unit_is_the_shift() -> None:
    quantiles = np.linspace(0, 10, 101)
    assert drift.moved(quantiles + 2.5, quantiles) == pytest.approx(2.5)
    assert drift.moved(np.zeros(0), quantiles) == 0


def test_quantiles_and_tails_are_close_to_those_of_scipy() -> None:
    from scipy import stats

    for degrees in (3, 22, 42):
        assert drift.chi_square(0.99, degrees) == pytest.approx(
            stats.chi2.ppf(0.99, degrees), rel=0.02
        )
        value = stats.chi2.isf(1e-6, degrees)
        assert 0.9e-6 < drift.above(value, degrees / 2, 2.0) < 3e-6


@pytest.mark.parametrize("size", [50, 2_000])
def test_evidence_has_a_mean_of_at_most_one_without_drift(size: int) -> None:
    draw = np.random.default_rng(2)
    shares = np.array([0, 0.0] + [0.05] * 18 + [0.1, 0])
    logs = []
    for _ in range(4):
        reference = drift.Reference(draw.multinomial(3_000, shares), slice(1, None))
        windows = draw.multinomial(size, shares, size=400)
        logs += [reference.evidence(window) for window in windows]
    assert (np.exp(logs).mean(axis=0) < 1.1).all()
    assert len(logs[0]) == len(reference.weights)
    assert reference.weights.sum() == pytest.approx(1)


def test_a_shift_is_found_soon_and_what_is_tolerated_is_not_found() -> None:
    draw = np.random.default_rng(3)
    edges = np.quantile(draw.normal(size=50_000), np.linspace(0, 1, 21)[1:-1])

    def counts(rows: int, shift: float) -> np.ndarray:
        places = np.searchsorted(edges, draw.normal(size=rows) + shift) + 2
        return np.bincount(places, minlength=23)

    limit = threshold(720, 20)
    delays = {}
    for shift in (0.04, 0.2, 0.5):
        reference = drift.Reference(counts(5_000, 0), slice(1, None))
        detector = Detector.fresh(reference.weights)
        levels = [detector.add(reference.evidence(counts(500, shift))) for _ in range(60)]
        delays[shift] = next((i for i, level in enumerate(levels, 1) if level >= limit), None)
    assert delays[0.04] is None
    assert delays[0.2] is not None
    assert delays[0.2] <= 15
    assert delays[0.5] is not None
    assert delays[0.5] <= 2


def test_words_have_no_order_and_odd_references_do_no_harm() -> None:
    words = drift.Reference(np.array([0, 1, 0, 50, 49]))
    assert words.scores is None
    assert words.p_value(np.array([0, 0, 0, 0, 0])) == 1
    assert words.p_value(np.array([0, 90, 0, 5, 5])) < 1e-6
    for counts in ([0, 0, 0], [0, 0, 7]):
        empty = drift.Reference(np.array(counts), slice(1, None))
        assert np.isfinite(empty.evidence(np.array([1, 2, 3]))).all()


def test_tables_are_those_of_the_next_smaller_size() -> None:
    reference = drift.Reference(np.full(10, 200))
    assert reference.table(503) is reference.table(500)
    assert len(reference.tables) == 1
    sizes = (500, 505)
    small, large = (reference.simulated(size) for size in (min(sizes) // 2, max(sizes)))
    assert small.shape * small.scale > large.shape * large.scale


def test_chernoffs_bound_is_above_the_true_chance() -> None:
    from scipy import stats

    for found, rows, share in ((10, 100, 0.02), (30, 50, 0.3)):
        true = stats.binom.sf(found - 1, rows, share)
        assert true <= drift.far(found, rows, share) <= 60 * true
    assert drift.far(1, 100, 0.02) == 1
    assert drift.far(3, 10, 0.0) == 0
    assert 0.003 > drift.share_at_most(0, 5_000) > 0.0005
    assert drift.share_at_most(500, 1_000) < 0.58
