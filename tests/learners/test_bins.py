"""Bins of a column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.contracts import Array
from fieldcraft.learners.rule.bins import Target, candidate_cuts, number_cuts, place_of

DRAW = np.random.default_rng(0)
ROWS = 2_000
X = DRAW.uniform(0, 10, ROWS).astype(np.float32)
NAN = float("nan")


def classes(y: Any, weights: Array | None = None) -> Target:
    y = np.asarray(y).astype(np.int64)
    heavy = np.ones(len(y)) if weights is None else weights / weights.mean()
    return Target("probabilities", y, heavy, int(y.max()) + 1)


def labels(*columns: Any) -> Target:
    y = np.stack(columns, axis=1).astype(np.int64)
    return Target("labels", y, np.ones(len(y)), y.shape[1])


def values(y: Array) -> Target:
    return Target("value", y, np.ones(len(y)), 1)


STEPS = np.digitize(X, [2.5, 7.5])
SORTS = {
    "classes": classes(STEPS),
    "labels": labels(STEPS == 0, STEPS == 2),
    "values": values(STEPS + DRAW.normal(0, 0.1, ROWS)),
}


@pytest.mark.parametrize("sort", SORTS)
def test_cuts_are_where_the_target_changes(sort: str) -> None:
    cuts = number_cuts(X, SORTS[sort], 6)
    assert len(cuts) >= 2
    nearest = [np.abs(cuts - where).min() for where in (2.5, 7.5)]
    assert max(nearest) < 10 / 32  # as fine as the quantiles are


def test_a_column_that_says_nothing_is_not_cut() -> None:
    for target in (classes(DRAW.integers(0, 3, ROWS)), values(DRAW.normal(size=ROWS))):
        assert len(number_cuts(X, target, 6)) == 0


@pytest.mark.parametrize("most", [2, 4])
def test_there_are_no_more_bins_than_asked_for(most: int) -> None:
    assert len(number_cuts(X, values(X.astype(np.float64)), most)) == most - 1


def test_cuts_do_not_depend_on_rows_without_a_value() -> None:
    gaps = np.where(np.arange(ROWS) % 3 == 0, np.float32(NAN), X)
    cuts = number_cuts(gaps, SORTS["classes"], 6)
    assert len(cuts) >= 2
    assert np.isfinite(cuts).all()
    assert len(number_cuts(np.full(ROWS, NAN, dtype=np.float32), SORTS["classes"], 6)) == 0


def test_a_value_that_most_rows_share_leaves_cuts_to_the_others() -> None:
    spiky = np.where(np.arange(ROWS) % 20 == 0, X + 1, 0).astype(np.float32)
    cuts = candidate_cuts(spiky)
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
def test_a_cut_is_between_two_neighbours(column: list[float], cuts: list[float]) -> None:
    found = candidate_cuts(np.array(column, dtype=np.float32))
    assert found.dtype == np.float32
    assert found.tolist() == cuts


def test_a_bin_holds_its_upper_cut_and_missing_values_have_one_of_their_own() -> None:
    cuts = np.array([1.0, 2.0], dtype=np.float32)
    column = np.array([0.5, 1.0, 1.5, 2.0, 9.0, np.inf, NAN], dtype=np.float32)
    assert place_of(column, cuts).tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_what_a_bin_says_is_drawn_towards_what_all_rows_say() -> None:
    place = np.array([0, 0, 0, 1])
    overall = np.array([3, 3]) / 6  # Laplace's rule on two rows of each class
    found = classes([0, 1, 0, 1]).tally(place, 3).table()
    wanted = [(np.array([2, 1]) + 2 * overall) / 5, (np.array([0, 1]) + 2 * overall) / 3, overall]
    np.testing.assert_allclose(found, wanted)
    both = labels([1, 1, 1, 1], [0, 0, 0, 1]).tally(place, 3).table()
    np.testing.assert_allclose(both[2], [5 / 6, 2 / 6])
    means = values(np.array([1.0, 2.0, 3.0, 6.0])).tally(place, 3).table()
    np.testing.assert_allclose(means[:, 0], [(6 + 2 * 3) / 5, (6 + 2 * 3) / 3, 3])


def test_a_row_of_weight_two_is_as_two_rows() -> None:
    y, twice = DRAW.integers(0, 3, 60), np.arange(60) % 2 + 1.0
    place = DRAW.integers(0, 4, 60)
    whole = np.repeat(np.arange(60), twice.astype(int))
    weighted = classes(y, twice).tally(place, 4)
    repeated = classes(y[whole]).tally(place[whole], 4)
    size = len(whole) / 60
    np.testing.assert_allclose(weighted.sums * size, repeated.sums)
    np.testing.assert_allclose(weighted.costs() * size, repeated.costs())


@pytest.mark.parametrize("sort", SORTS)
def test_merging_bins_never_explains_more(sort: str) -> None:
    tally = SORTS[sort].tally(DRAW.integers(0, 5, ROWS), 5)
    before = tally.costs()
    assert (tally.pairs().costs() - before[:-1] - before[1:] >= -1e-6).all()
    merged = tally.merged(1)
    np.testing.assert_allclose(merged.costs()[1], tally.pairs().costs()[1])
    assert len(merged.counts) == 4
