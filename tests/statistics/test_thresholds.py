"""Decisions from probabilities are the best of all possible ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as peer

from fieldcraft.project.settings import ThresholdRule
from fieldcraft.statistics import classification_metrics
from fieldcraft.statistics.metrics import Predictions
from fieldcraft.statistics.thresholds import (
    ABOVE_ALL_PROBABILITIES,
    MAX_CURVE_POINTS,
    THRESHOLD_RULES,
    best_threshold,
    min_cost_decisions,
    precision_recall_curve,
)

Array = npt.NDArray[Any]
deterministic = settings(derandomize=True, deadline=None, max_examples=80)
LABELED_SCORES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12).map(lambda k: k / 12)), min_size=1, max_size=25
)
OWN_METRICS = {
    "accuracy": classification_metrics.ACCURACY,
    "balanced_accuracy": classification_metrics.BALANCED_ACCURACY,
    "f1": classification_metrics.F1,
    "mcc": classification_metrics.MATTHEWS_CORRCOEF,
}


def metric_at(rule: str, positive: Array, score: Array, threshold: float) -> float:
    """The metric of the decisions at a threshold."""
    outputs = np.stack([1 - score, score], axis=1)
    predictions = Predictions(outputs, (score >= threshold).astype(int), outputs >= 0)
    metric = OWN_METRICS[rule]
    return float(metric.compute(positive.astype(int), predictions, np.ones((1, len(score))))[0])


def test_every_threshold_rule_of_the_project_file_is_tested() -> None:
    assert set(THRESHOLD_RULES) == set(OWN_METRICS) == set(get_args(ThresholdRule))


@pytest.mark.parametrize("rule", THRESHOLD_RULES)
@deterministic
@given(LABELED_SCORES)
def test_no_other_threshold_is_better(rule: str, pairs: list[tuple[bool, float]]) -> None:
    positive, score = (np.array(part) for part in zip(*pairs, strict=True))
    threshold = best_threshold(positive, score, rule)
    every = [metric_at(rule, positive, score, t) for t in [*np.unique(score), 2.0]]
    if positive.all() or not positive.any() or np.isnan(every).all():
        assert threshold == 0.5
    else:
        assert metric_at(rule, positive, score, threshold) == pytest.approx(np.nanmax(every))


SKLEARN_METRICS: dict[str, Callable[..., float]] = {
    "accuracy": peer.accuracy_score,
    "balanced_accuracy": peer.balanced_accuracy_score,
    "f1": peer.f1_score,
    "mcc": peer.matthews_corrcoef,
}


@pytest.mark.parametrize("rule", THRESHOLD_RULES)
def test_no_other_threshold_is_better_where_rows_weigh_more_or_less(rule: str) -> None:
    unlike = 0
    for seed in range(12):
        draw = np.random.default_rng(seed)
        positive = np.append(draw.random(10) < 0.4, [True, False])
        score, weights = draw.integers(0, 9, 12) / 8, draw.gamma(0.5, size=12)
        threshold = best_threshold(positive, score, rule, weights)
        candidates = [*np.unique(score), 2.0]
        if rule == "mcc":  # not defined where all or none are called positive
            candidates = candidates[1:-1]
        every = [
            SKLEARN_METRICS[rule](positive, score >= t, sample_weight=weights) for t in candidates
        ]
        chosen = SKLEARN_METRICS[rule](positive, score >= threshold, sample_weight=weights)
        assert chosen == pytest.approx(max(every), abs=1e-12)
        unlike += threshold != best_threshold(positive, score, rule)
    assert unlike > 1


@pytest.mark.parametrize(
    ("positives", "scores", "expected"),
    [
        ([1, 0, 1, 0], [0.9, 0.7, 0.5, 0.3], 0.8),  # 0.4 is as good: the higher one is taken
        ([0, 1], [0.9, 0.7], 0.35),  # as good as calling nothing: something is called
        ([1, 0, 1], [0.8, 0.8, 0.4], 0.2),  # equal scores are called together
        ([0, 1, 1, 1], [0.9, 0.7, 0.5, 0.3], 0.15),  # all of them: half of the lowest
        ([0, 0, 1], [0.9, 0.8, 0.2], (1 + 1e-6 + 0.9) / 2),  # none: halfway to certainty
    ],
)
def test_among_ties_the_highest_threshold_with_a_positive_is_best(
    positives: list[int], scores: list[float], expected: float
) -> None:
    threshold = best_threshold(np.array(positives) == 1, np.array(scores), "accuracy")
    assert threshold == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rule", THRESHOLD_RULES)
def test_rows_without_weight_do_not_count(rule: str) -> None:
    positive = np.array([True, False, True, False, True, False])
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    weights = np.array([1.0, 0, 1, 1, 0, 1])  # without two rows the classes are parted at 0.65
    assert best_threshold(positive, score, rule, weights) == pytest.approx(0.65)


@deterministic
@given(LABELED_SCORES)
def test_a_threshold_is_between_scores(
    pairs: list[tuple[bool, float]],
) -> None:
    positive, score = (np.array(part) for part in zip(*pairs, strict=True))
    threshold = best_threshold(positive, score, "f1")
    if threshold != 0.5 and score.max() > 0:
        moved = np.clip(score + 1e-9 * np.where(np.arange(len(score)) % 2, 1, -1), 0, 1)
        assert ((moved >= threshold) == (score >= threshold)).all()


def test_the_threshold_that_separates_the_classes_is_best() -> None:
    positive, score = np.array([False, False, True, True]), np.array([0.1, 0.2, 0.3, 0.9])
    for rule in THRESHOLD_RULES:
        assert best_threshold(positive, score, rule) == pytest.approx(0.25)


def test_the_threshold_is_above_all_scores_where_no_positive_is_best() -> None:
    positive, score = np.arange(20) == 7, np.linspace(0.6, 0.1, 20)
    threshold = best_threshold(positive, score, "accuracy")
    assert 0.6 < threshold <= 1
    assert best_threshold(positive, score, "f1") < 0.6
    sure = best_threshold(positive, np.ones(20), "accuracy")
    assert 1 < sure < ABOVE_ALL_PROBABILITIES


def test_a_constant_score_has_no_best_threshold_for_mcc() -> None:
    assert best_threshold(np.array([True, False]), np.full(2, 0.3), "mcc") == 0.5


@deterministic
@given(
    st.integers(2, 4).flatmap(
        lambda k: st.tuples(
            st.lists(st.lists(st.integers(0, 9), min_size=k, max_size=k), min_size=k, max_size=k),
            st.lists(st.lists(st.integers(1, 9), min_size=k, max_size=k), min_size=1, max_size=8),
        )
    )
)
def test_the_decision_has_the_least_expected_cost(
    drawn: tuple[list[list[int]], list[list[int]]],
) -> None:
    costs, shares = (np.array(part, dtype=float) for part in drawn)
    p = shares / shares.sum(axis=1, keepdims=True)
    decisions = min_cost_decisions(p, costs)
    classes = range(len(costs))
    for row, decided in zip(p, decisions, strict=True):
        expected = [sum(row[true] * costs[true][choice] for true in classes) for choice in classes]
        assert expected[decided] == pytest.approx(min(expected))


def test_costs_of_two_classes_are_a_threshold() -> None:
    alarm, miss = 1.0, 4.0  # Elkan 2001: positive from alarm / (alarm + miss) on
    score = np.linspace(0, 1, 102)
    decisions = min_cost_decisions(
        np.stack([1 - score, score], axis=1), np.array([[0, alarm], [miss, 0]])
    )
    assert (decisions == (score > 0.2)).all()


def test_among_equal_costs_the_first_class_is_decided() -> None:
    p = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.2, 0.4, 0.4]])
    assert min_cost_decisions(p, 1 - np.eye(3)).tolist() == [0, 1, 1]


def test_costs_have_true_classes_as_rows_and_decided_ones_as_columns() -> None:
    costs = np.array([[0.0, 5.0, 1.0], [2.0, 0.0, 4.0], [3.0, 6.0, 0.0]])
    for true in range(3):  # of a class that is certain, a right decision costs nothing
        assert min_cost_decisions(np.eye(3)[[true]], costs).tolist() == [true]
    # Expected: class 0 costs 2 * 0.5 = 1, class 1 5 * 0.5 = 2.5, class 2 0.5 + 2 = 2.5.
    assert min_cost_decisions(np.array([[0.5, 0.5, 0.0]]), costs).tolist() == [0]
    assert min_cost_decisions(np.array([[0.6, 0.0, 0.4]]), costs).tolist() == [2]  # 1.2, 5.4, 0.6


def test_equal_costs_decide_for_the_most_probable_class() -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    assert (min_cost_decisions(p, 1 - np.eye(4)) == p.argmax(axis=1)).all()


@deterministic
@given(LABELED_SCORES)
def test_points_of_a_curve_are_metrics_of_the_decisions(
    pairs: list[tuple[bool, float]],
) -> None:
    positive, score = (np.array(part) for part in zip(*pairs, strict=True))
    curve = precision_recall_curve(positive, score)
    if positive.all() or not positive.any():
        assert curve == []
        return
    assert [point["threshold"] for point in curve] == sorted(set(score.tolist()), reverse=True)
    for point in curve:
        called = score >= point["threshold"]
        assert point["precision"] == pytest.approx(positive[called].mean())
        assert point["recall"] == pytest.approx((called & positive).sum() / positive.sum())
        assert point["selection_rate"] == pytest.approx(called.mean())


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    draw = np.random.default_rng(0)
    positive, score = draw.random(5_000) < 0.3, draw.random(5_000)
    curve = precision_recall_curve(positive, score)
    assert len(curve) == MAX_CURVE_POINTS
    assert curve[0]["threshold"] == score.max()
    assert (curve[-1]["threshold"], curve[-1]["recall"], curve[-1]["selection_rate"]) == (
        score.min(),
        1,
        1,
    )
    for a, b in itertools.pairwise(curve):
        assert a["recall"] <= b["recall"]
        assert a["selection_rate"] < b["selection_rate"]
