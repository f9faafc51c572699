"""Bins of a column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.core.types import Array
from fieldcraft.learners.rule.bins import BinnedTarget, assign_bins, fit_cuts, propose_cuts

DRAW = np.random.default_rng(0)
ROWS = 2_000
X = DRAW.uniform(0, 10, ROWS).astype(np.float32)
NAN = float("nan")


def build_classes(y: Any, weights: Array | None = None) -> BinnedTarget:
    y = np.asarray(y).astype(np.int64)
    heavy = np.ones(len(y)) if weights is None else weights / weights.mean()
    return BinnedTarget("probabilities", y, heavy, int(y.max()) + 1)


def build_labels(*columns: Any) -> BinnedTarget:
    y = np.stack(columns, axis=1).astype(np.int64)
    return BinnedTarget("labels", y, np.ones(len(y)), y.shape[1])


def build_values(y: Array) -> BinnedTarget:
    return BinnedTarget("value", y, np.ones(len(y)), 1)


STEPS = np.digitize(X, [2.5, 7.5])
TARGETS = {
    "classes": build_classes(STEPS),
    "labels": build_labels(STEPS == 0, STEPS == 2),
    "values": build_values(STEPS + DRAW.normal(0, 0.1, ROWS)),
}


@pytest.mark.parametrize("sort", TARGETS)
def test_cuts_are_where_the_target_changes(sort: str) -> None:
    cuts = fit_cuts(X, TARGETS[sort], 6)
    assert len(cuts) >= 2
    nearest = [np.abs(cuts - where).min() for where in (2.5, 7.5)]
    assert max(nearest) < 10 / 32  # as fine as the quantiles are


def test_a_column_that_says_nothing_is_not_cut() -> None:
    for target in (build_classes(DRAW.integers(0, 3, ROWS)), build_values(DRAW.normal(size=ROWS))):
        assert len(fit_cuts(X, target, 6)) == 0


@pytest.mark.parametrize("most", [2, 4])
def test_there_are_no_more_bins_than_asked_for(most: int) -> None:
    assert len(fit_cuts(X, build_values(X.astype(np.float64)), most)) == most - 1


def test_cuts_do_not_depend_on_rows_without_a_value() -> None:
    gaps = np.where(np.arange(ROWS) % 3 == 0, np.float32(NAN), X)
    cuts = fit_cuts(gaps, TARGETS["classes"], 6)
    assert len(cuts) >= 2
    assert np.isfinite(cuts).all()
    assert len(fit_cuts(np.full(ROWS, NAN, dtype=np.float32), TARGETS["classes"], 6)) == 0


def test_a_value_that_most_rows_share_leaves_cuts_to_the_others() -> None:
    spiky = np.where(np.arange(ROWS) % 20 == 0, X + 1, 0).astype(np.float32)
    cuts = propose_cuts(spiky)
    assert cuts[0] < 1.5
    assert (cuts > 2).sum() >= 10


@pytest.mark.parametrize(
    ("column", "cuts"),
    [
        ([1, 2], [1.5]),
        ([1, 1], []),
        ([], []),
        ([16_777_214, 16_777_215], [16_777_214]),
        ([-3e38, 3e38], [0]),
        ([0.0, 1e-45], [0.0]),
    ],
)
def test_a_cut_is_between_two_neighbors(column: list[float], cuts: list[float]) -> None:
    result = propose_cuts(np.array(column, dtype=np.float32))
    assert result.dtype == np.float32
    assert result.tolist() == cuts


def test_a_bin_holds_its_upper_cut_and_missing_values_have_one_of_their_own() -> None:
    cuts = np.array([1.0, 2.0], dtype=np.float32)
    column = np.array([0.5, 1.0, 1.5, 2.0, 9.0, np.inf, NAN], dtype=np.float32)
    assert assign_bins(column, cuts).tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_what_a_bin_says_is_drawn_towards_what_all_rows_say() -> None:
    place = np.array([0, 0, 0, 1])
    overall = np.array([3, 3]) / 6  # Laplace's rule on two rows of each class
    result = build_classes([0, 1, 0, 1]).summarize_bins(place, 3).compute_outputs()
    expected = [(np.array([2, 1]) + 2 * overall) / 5, (np.array([0, 1]) + 2 * overall) / 3, overall]
    np.testing.assert_allclose(result, expected)
    both = build_labels([1, 1, 1, 1], [0, 0, 0, 1]).summarize_bins(place, 3).compute_outputs()
    np.testing.assert_allclose(both[2], [5 / 6, 2 / 6])
    means = build_values(np.array([1.0, 2.0, 3.0, 6.0])).summarize_bins(place, 3).compute_outputs()
    np.testing.assert_allclose(means[:, 0], [(6 + 2 * 3) / 5, (6 + 2 * 3) / 3, 3])


def test_a_row_of_weight_two_is_as_two_rows() -> None:
    y, twice = DRAW.integers(0, 3, 60), np.arange(60) % 2 + 1.0
    place = DRAW.integers(0, 4, 60)
    whole = np.repeat(np.arange(60), twice.astype(int))
    weighted = build_classes(y, twice).summarize_bins(place, 4)
    repeated = build_classes(y[whole]).summarize_bins(place[whole], 4)
    size = len(whole) / 60
    np.testing.assert_allclose(weighted.sums * size, repeated.sums)
    np.testing.assert_allclose(weighted.compute_costs() * size, repeated.compute_costs())


@pytest.mark.parametrize("sort", TARGETS)
def test_merging_bins_never_explains_more(sort: str) -> None:
    tally = TARGETS[sort].summarize_bins(DRAW.integers(0, 5, ROWS), 5)
    before = tally.compute_costs()
    assert (tally.merge_neighbors().compute_costs() - before[:-1] - before[1:] >= -1e-6).all()
    merged = tally.merge_bin(1)
    np.testing.assert_allclose(
        merged.compute_costs()[1], tally.merge_neighbors().compute_costs()[1]
    )
    assert len(merged.counts) == 4
