"""Sets and intervals cover new rows at the target rate."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.statistics.conformal import (
    MAX_BINS,
    MIN_ROWS_PER_BIN,
    PROBABILITY_TOLERANCE,
    bin_edges,
    class_prediction_sets,
    class_set_threshold,
    conformal_quantile,
    fit_interval_half_widths,
    label_prediction_sets,
    label_set_thresholds,
    prediction_intervals,
)

Array = npt.NDArray[Any]
Draw = np.random.Generator
COVERAGES = [0.5, 0.8, 0.9]


def exact_coverage(n_rows: int, coverage: float) -> float:
    """The exact expected coverage of new rows, without ties."""
    return float(-(-(n_rows + 1) * Fraction(str(coverage)) // 1) / (n_rows + 1))


@pytest.mark.parametrize("coverage", [0.55, 0.7, 0.9, 0.95, 0.99])
def test_the_quantile_equals_exact_arithmetic(coverage: float) -> None:
    for rows in range(1, 250):
        rank = int(-(-(rows + 1) * Fraction(str(coverage)) // 1))
        quantile = conformal_quantile(np.arange(rows, 0.0, -1.0), coverage)
        assert quantile == (rank if rank <= rows else np.inf), rows


def weighted_quantile(scores: Array, weights: Array, coverage: Fraction) -> float:
    """By definition: the least score up to which the rows have the target fraction of the weight.

    Among all is the new row, which weighs as much as the others on average and has no score yet.
    """
    whole = sum(map(Fraction, weights.tolist()))
    wanted = coverage * (whole + whole / len(scores))
    for score in np.unique(scores):
        if sum(map(Fraction, weights[scores <= score].tolist())) >= wanted:
            return float(score)
    return float("inf")


ROWS_WITH_WEIGHTS = st.lists(
    st.tuples(st.integers(0, 9).map(float), st.integers(0, 5)), min_size=1, max_size=20
).filter(lambda rows: any(weight for _, weight in rows))


@settings(derandomize=True, deadline=None, max_examples=150)
@given(ROWS_WITH_WEIGHTS, st.sampled_from(["0.5", "0.8", "0.9"]))
def test_a_weighted_quantile_equals_exact_arithmetic(
    rows: list[tuple[float, int]], coverage: str
) -> None:
    scores, weights = (np.array(part, dtype=np.float64) for part in zip(*rows, strict=True))
    expected = weighted_quantile(scores, weights, Fraction(coverage))
    assert conformal_quantile(scores, float(coverage), weights) == expected
    assert (
        conformal_quantile(scores, float(coverage), 0.3 * weights) == expected
    )  # the scale is free
    # The limits of sets and the widths of intervals are these quantiles.
    truth = scores / 10
    limit = weighted_quantile(-truth, weights, Fraction(coverage))
    as_classes = np.stack([truth, 1 - truth], axis=1)
    first = np.zeros(len(scores), dtype=int)
    assert class_set_threshold(as_classes, first, float(coverage), weights) == max(-limit, 0)
    both = label_set_thresholds(as_classes, np.ones_like(as_classes), float(coverage), weights)
    assert both[0] == max(-limit, 0)
    fitted = fit_interval_half_widths(first.astype(float), scores, float(coverage), weights)
    assert fitted["half_widths"] == [expected if expected < np.inf else 2 * scores.max()]


def test_the_weights_of_a_bin_are_those_of_its_own_rows() -> None:
    rows = 2 * MIN_ROWS_PER_BIN
    predicted = np.repeat([1.0, 9.0], MIN_ROWS_PER_BIN)
    misses = np.tile(np.arange(MIN_ROWS_PER_BIN), 2).astype(float)
    weights = np.repeat(
        [1.0, 0.0, 0.0, 1.0], MIN_ROWS_PER_BIN // 2
    )  # small misses, then large ones
    fitted = fit_interval_half_widths(predicted, predicted + misses, 0.8, weights)
    parts = slice(0, MIN_ROWS_PER_BIN), slice(MIN_ROWS_PER_BIN, rows)
    expected = [weighted_quantile(misses[p], weights[p], Fraction("0.8")) for p in parts]
    assert fitted["half_widths"] == expected
    assert expected[0] == 80
    assert expected[1] == 180


@pytest.mark.parametrize(
    ("rows", "bins"), [(1, 1), (399, 1), (400, 2), (599, 2), (600, 3), (2_000, 10), (5_000, 10)]
)
def test_there_is_a_bin_for_every_two_hundred_rows_and_ten_at_most(rows: int, bins: int) -> None:
    predicted = np.random.default_rng(0).permutation(rows).astype(float)
    assert len(fit_interval_half_widths(predicted, predicted, 0.9)["half_widths"]) == bins


def miscalibrated_sample(rng: Draw, n_rows: int) -> tuple[Array, Array]:
    """Three classes, and a miscalibrated model."""
    truth = rng.dirichlet(np.ones(3), n_rows)
    y = (truth.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1)
    distorted = truth[:, [1, 0, 2]] ** 0.3 + 0.2 * rng.random((n_rows, 3))
    return distorted / distorted.sum(axis=1, keepdims=True), np.minimum(y, 2)


@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("rows", [19, 60])
def test_class_sets_cover_new_rows(rows: int, coverage: float) -> None:
    draw, held = np.random.default_rng(0), []
    for _ in range(500):
        limit = class_set_threshold(*miscalibrated_sample(draw, rows), coverage)
        p, y = miscalibrated_sample(draw, 100)
        true = p[np.arange(100), y]
        held.append((true >= limit - PROBABILITY_TOLERANCE).mean())
        assert class_prediction_sets(p, limit)[np.arange(100), y].mean() >= held[-1]
    assert np.mean(held) == pytest.approx(exact_coverage(rows, coverage), abs=0.012)


@pytest.mark.parametrize("coverage", COVERAGES)
def test_label_sets_cover_new_rows(coverage: float) -> None:
    draw, held = np.random.default_rng(0), []

    def labeled_rows(rows: int) -> tuple[Array, Array]:
        truth = draw.random((rows, 2))
        y = (draw.random((rows, 2)) < truth).astype(int)
        return np.clip(truth * [0.4, 1.2], 0, 1), y  # one label too modest, one too bold

    for _ in range(400):
        limits = label_set_thresholds(*labeled_rows(60), coverage)
        p, y = labeled_rows(100)
        true = np.where(y == 1, p, 1 - p)
        held.append((true >= np.array(limits) - PROBABILITY_TOLERANCE).mean(axis=0))
        regions = label_prediction_sets(p, limits)
        inside = np.where(y == 1, regions[:, :, 1], regions[:, :, 0])
        assert (inside.mean(axis=0) >= held[-1]).all()
    assert (np.mean(held, axis=0) >= exact_coverage(60, coverage) - 0.012).all()


def heteroscedastic_sample(rng: Draw, n_rows: int) -> tuple[Array, Array]:
    """Predicted and true values, whose errors grow with the value."""
    predicted = rng.uniform(1, 10, n_rows)
    return predicted, predicted + rng.standard_t(4, n_rows) * predicted


@pytest.mark.parametrize("coverage", COVERAGES)
@pytest.mark.parametrize("rows", [25, 2 * MIN_ROWS_PER_BIN])
def test_intervals_cover_new_rows(rows: int, coverage: float) -> None:
    draw, held = np.random.default_rng(0), []
    for _ in range(300):
        fitted = fit_interval_half_widths(*heteroscedastic_sample(draw, rows), coverage)
        predicted, y = heteroscedastic_sample(draw, 200)
        low, high = prediction_intervals(predicted, fitted).T
        held.append(((low <= y) & (y <= high)).mean())
    bins = max(1, rows // MIN_ROWS_PER_BIN)
    assert np.mean(held) == pytest.approx(exact_coverage(rows // bins, coverage), abs=0.012)


def test_intervals_are_wide_where_errors_are_large_and_cover_each_bin() -> None:
    draw = np.random.default_rng(0)
    fitted = fit_interval_half_widths(*heteroscedastic_sample(draw, 20_000), 0.9)
    assert len(fitted["half_widths"]) == len(fitted["bin_edges"]) + 1 == MAX_BINS
    assert fitted["half_widths"] == sorted(fitted["half_widths"])
    assert fitted["half_widths"][-1] > 4 * fitted["half_widths"][0]
    predicted, y = heteroscedastic_sample(draw, 50_000)
    low, high = prediction_intervals(predicted, fitted).T
    for part in np.array_split(np.argsort(predicted), 8):
        inside = (low[part] <= y[part]) & (y[part] <= high[part])
        assert inside.mean() == pytest.approx(0.9, abs=0.03)
    assert (high - low)[predicted > 9].mean() > 4 * (high - low)[predicted < 2].mean()


def test_without_enough_rows_everything_is_possible() -> None:
    p, y = np.array([[0.7, 0.2, 0.1]]), np.array([0])
    assert class_set_threshold(p, y, 0.9) == class_set_threshold(p[:0], y[:0], 0.9) == 0
    assert class_prediction_sets(p, 0.0).all()
    assert label_set_thresholds(p, np.array([[1, 0, 0]]), 0.9) == [0, 0, 0]
    assert label_set_thresholds(p[:0], np.zeros((0, 3)), 0.9) == [0, 0, 0]
    assert label_prediction_sets(p, [0.0] * 3).all()


def test_an_interval_from_a_single_row_is_wider_than_its_error() -> None:
    fitted = fit_interval_half_widths(np.array([5.0]), np.array([7.0]), 0.9)
    assert fitted == {"bin_edges": [], "half_widths": [4.0]}
    assert prediction_intervals(np.array([1.0, 9.0]), fitted).tolist() == [[-3.0, 5.0], [5.0, 13.0]]
    assert fit_interval_half_widths(np.zeros(0), np.zeros(0), 0.9) == {
        "bin_edges": [],
        "half_widths": [0.0],
    }


def test_a_low_coverage_needs_only_one_row() -> None:
    p, y = np.array([[0.7, 0.2, 0.1]]), np.array([1])
    assert class_set_threshold(p, y, 0.5) == 0.2
    assert class_prediction_sets(p, 0.2).tolist() == [[True, True, False]]


@pytest.mark.parametrize("limit", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_the_most_probable_class_is_always_in_the_set(limit: float) -> None:
    p, _ = miscalibrated_sample(np.random.default_rng(1), 200)
    sets = class_prediction_sets(p, limit)
    assert sets[np.arange(200), p.argmax(axis=1)].all()
    regions = label_prediction_sets(p, [limit] * 3)
    assert regions.any(axis=2).all()
    assert (regions[:, :, 1] | (p < 0.5)).all()
    assert class_prediction_sets(p[:0], limit).shape == (0, 3)


def test_a_higher_coverage_never_removes_a_class() -> None:
    p, y = miscalibrated_sample(np.random.default_rng(2), 300)
    sizes = [
        class_prediction_sets(p, class_set_threshold(p, y, c)).sum()
        for c in (0.5, 0.7, 0.9, 0.99, 0.999)
    ]
    assert sizes == sorted(sizes)
    assert sizes[-1] == p.size
    # What is asked for is there on the rows themselves.
    assert class_prediction_sets(p, class_set_threshold(p, y, 0.9))[np.arange(300), y].mean() >= 0.9


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 1 / 3])
def test_tied_probabilities_are_all_in_or_all_out(share: float) -> None:
    p = np.tile([share, 1 - share], (50, 1))
    y = (np.arange(50) % 3 != 0).astype(int)  # a third has the first class
    limit = class_set_threshold(p, y, 0.9)
    assert class_prediction_sets(p, limit).all()
    # A packaged model differs by a rounding error.
    assert class_prediction_sets(p.astype(np.float32).astype(np.float64), limit).all()
    assert class_prediction_sets(p - 1e-7, limit).all()
    limits = label_set_thresholds(p, np.stack([1 - y, y], axis=1), 0.9)
    assert label_prediction_sets(p - 1e-7, limits).all()
    assert label_prediction_sets(p + 1e-7, limits).all()


def test_each_of_a_few_predicted_values_has_its_own_width() -> None:
    predicted = np.repeat([1.0, 5.0], [600, 200])
    y = predicted + np.where(np.arange(800) % 2, 1, -1) * predicted  # misses by 1 and by 5
    fitted = fit_interval_half_widths(predicted, y, 0.9)
    assert fitted == {"bin_edges": [3.0], "half_widths": [1.0, 5.0]}
    moved = prediction_intervals(np.array([1 - 1e-9, 1 + 1e-9, 5 - 1e-9]), fitted)
    assert (moved[:, 1] - moved[:, 0]).tolist() == pytest.approx([2, 2, 10])


def test_a_constant_prediction_has_one_width() -> None:
    y = np.random.default_rng(0).normal(size=2_000)
    fitted = fit_interval_half_widths(np.full(2_000, 0.3), y, 0.9)
    assert fitted["bin_edges"] == []
    assert fitted["half_widths"] == [conformal_quantile(np.abs(0.3 - y), 0.9)]


def test_bin_edges_are_between_values_and_counts_are_about_equal() -> None:
    predicted = np.random.default_rng(0).lognormal(size=1_000)
    edges = bin_edges(predicted, 5)
    assert not np.isin(edges, predicted).any()
    counts = np.bincount(np.searchsorted(edges, predicted, side="right"))
    assert counts.tolist() == pytest.approx([200] * 5, abs=1)
    assert len(bin_edges(predicted, 1)) == len(bin_edges(predicted[:0], 3)) == 0


def test_the_order_of_validation_rows_does_not_matter() -> None:
    draw = np.random.default_rng(0)
    order = draw.permutation(500)
    p, y = miscalibrated_sample(draw, 500)
    assert class_set_threshold(p, y, 0.9) == class_set_threshold(p[order], y[order], 0.9)
    predicted, amounts = heteroscedastic_sample(draw, 500)
    assert fit_interval_half_widths(predicted, amounts, 0.9) == fit_interval_half_widths(
        predicted[order], amounts[order], 0.9
    )


@pytest.mark.parametrize("rows", [0, 1, 5, 450])
def test_fitted_values_are_json(rows: int) -> None:
    draw = np.random.default_rng(0)
    predicted, y = heteroscedastic_sample(draw, rows)
    p, classes = miscalibrated_sample(draw, rows)
    fitted = {
        "half_widths": fit_interval_half_widths(predicted, y, 0.9),
        "set_threshold": class_set_threshold(p, classes, 0.9),
        "limits": label_set_thresholds(p, np.eye(3)[classes], 0.9),
    }
    assert json.loads(json.dumps(fitted, allow_nan=False)) == fitted
