"""What is decided from probabilities is the best of all that could be."""

from __future__ import annotations

import itertools
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.evidence import class_metrics
from fieldcraft.evidence.metrics import Said
from fieldcraft.evidence.thresholds import (
    BEYOND,
    CHOSEN_BY,
    MANY,
    best_threshold,
    by_costs,
    curve,
)
from fieldcraft.project.settings import ThresholdRule

Array = npt.NDArray[Any]
fixed = settings(derandomize=True, deadline=None, max_examples=80)
PAIRS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12).map(lambda k: k / 12)), min_size=1, max_size=25
)
METRICS = {
    "accuracy": class_metrics.ACCURACY,
    "balanced_accuracy": class_metrics.BALANCED_ACCURACY,
    "f1": class_metrics.F1,
    "mcc": class_metrics.MATTHEWS,
}


def value(rule: str, positive: Array, score: Array, threshold: float) -> float:
    """The metric of the decisions at a threshold."""
    outputs = np.stack([1 - score, score], axis=1)
    said = Said(outputs, (score >= threshold).astype(int), outputs >= 0)
    metric = METRICS[rule]
    return float(metric.values(positive.astype(int), said, np.ones((1, len(score))))[0])


def test_every_rule_of_the_project_file_is_one_of_these() -> None:
    assert set(CHOSEN_BY) == set(METRICS) == set(get_args(ThresholdRule))


@pytest.mark.parametrize("rule", CHOSEN_BY)
@fixed
@given(PAIRS)
def test_no_other_threshold_is_better(rule: str, pairs: list[tuple[bool, float]]) -> None:
    positive, score = (np.array(part) for part in zip(*pairs, strict=True))
    found = best_threshold(positive, score, rule)
    every = [value(rule, positive, score, t) for t in [*np.unique(score), 2.0]]
    if positive.all() or not positive.any() or np.isnan(every).all():
        assert found == 0.5
    else:
        assert value(rule, positive, score, found) == pytest.approx(np.nanmax(every))


@fixed
@given(PAIRS)
def test_a_threshold_lies_between_scores_so_that_a_rounding_error_changes_nothing(
    pairs: list[tuple[bool, float]],
) -> None:
    positive, score = (np.array(part) for part in zip(*pairs, strict=True))
    found = best_threshold(positive, score, "f1")
    if found != 0.5 and score.max() > 0:
        moved = np.clip(score + 1e-9 * np.where(np.arange(len(score)) % 2, 1, -1), 0, 1)
        assert ((moved >= found) == (score >= found)).all()


def test_the_threshold_is_found_that_parts_the_classes() -> None:
    positive, score = np.array([False, False, True, True]), np.array([0.1, 0.2, 0.3, 0.9])
    for rule in CHOSEN_BY:
        assert best_threshold(positive, score, rule) == pytest.approx(0.25)


def test_where_calling_nothing_is_most_often_right_nothing_is_called() -> None:
    positive, score = np.arange(20) == 7, np.linspace(0.6, 0.1, 20)
    found = best_threshold(positive, score, "accuracy")
    assert 0.6 < found <= 1
    assert best_threshold(positive, score, "f1") < 0.6
    sure = best_threshold(positive, np.ones(20), "accuracy")
    assert 1 < sure < BEYOND


def test_a_score_that_is_the_same_for_all_has_no_best_correlation() -> None:
    assert best_threshold(np.array([True, False]), np.full(2, 0.3), "mcc") == 0.5


@fixed
@given(
    st.integers(2, 4).flatmap(
        lambda k: st.tuples(
            st.lists(st.lists(st.integers(0, 9), min_size=k, max_size=k), min_size=k, max_size=k),
            st.lists(st.lists(st.integers(1, 9), min_size=k, max_size=k), min_size=1, max_size=8),
        )
    )
)
def test_the_decision_is_the_one_of_least_expected_cost(
    drawn: tuple[list[list[int]], list[list[int]]],
) -> None:
    costs, shares = (np.array(part, dtype=float) for part in drawn)
    p = shares / shares.sum(axis=1, keepdims=True)
    found = by_costs(p, costs)
    classes = range(len(costs))
    for row, decided in zip(p, found, strict=True):
        expected = [sum(row[true] * costs[true][said] for true in classes) for said in classes]
        assert expected[decided] == pytest.approx(min(expected))


def test_costs_of_two_classes_are_a_threshold() -> None:
    alarm, miss = 1.0, 4.0  # Elkan 2001: positive from alarm / (alarm + miss) on
    score = np.linspace(0, 1, 102)
    found = by_costs(np.stack([1 - score, score], axis=1), np.array([[0, alarm], [miss, 0]]))
    assert (found == (score > 0.2)).all()


def test_equal_costs_decide_for_the_likeliest() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    assert (by_costs(p, 1 - np.eye(4)) == p.argmax(axis=1)).all()


@fixed
@given(PAIRS)
def test_the_points_of_a_curve_are_what_decisions_would_be(
    pairs: list[tuple[bool, float]],
) -> None:
    positive, score = (np.array(part) for part in zip(*pairs, strict=True))
    found = curve(positive, score)
    if positive.all() or not positive.any():
        assert found == []
        return
    assert [point["threshold"] for point in found] == sorted(set(score.tolist()), reverse=True)
    for point in found:
        called = score >= point["threshold"]
        assert point["precision"] == pytest.approx(positive[called].mean())
        assert point["recall"] == pytest.approx((called & positive).sum() / positive.sum())
        assert point["called"] == pytest.approx(called.mean())


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    draw = np.random.default_rng(0)
    positive, score = draw.random(5_000) < 0.3, draw.random(5_000)
    found = curve(positive, score)
    assert len(found) == MANY
    assert found[0]["threshold"] == score.max()
    assert (found[-1]["threshold"], found[-1]["recall"], found[-1]["called"]) == (score.min(), 1, 1)
    for a, b in itertools.pairwise(found):
        assert a["recall"] <= b["recall"]
        assert a["called"] < b["called"]
