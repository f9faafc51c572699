"""Linear models over word parts: one for each class, label or number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from fieldcraft.core.types import Array
from fieldcraft.kinds.text.linear_scores import build_score_targets, fit_score_models

DRAW = np.random.default_rng(0)
ROWS = 300
TABLE = sparse.csr_matrix(np.eye(4)[DRAW.integers(0, 4, ROWS)])
PART = TABLE.toarray().argmax(axis=1)


def test_classes_get_a_goal_each_the_first_one_too() -> None:
    codes = np.array([0, 1, 2, 0])
    target = (codes[:, None] == np.arange(1, 3)).astype(float)
    np.testing.assert_array_equal(build_score_targets(target), np.eye(3)[codes])


@pytest.mark.parametrize(
    "target", [[[0.0], [1.0]], [[1.0, 1.0], [0.0, 1.0]], [[0.5], [2.0]], [[0.2, 0.3], [0.1, 0.7]]]
)
def test_labels_and_numbers_are_goals_as_they_are(target: list[list[float]]) -> None:
    np.testing.assert_array_equal(build_score_targets(np.array(target)), target)


def compute_scores(goals: Array) -> Array:
    weights, offsets = fit_score_models(TABLE, goals)
    return np.asarray(TABLE @ weights + offsets)


def test_what_is_true_scores_above_zero_and_what_is_not_below() -> None:
    goals = np.stack([PART == 2, PART < 2], axis=1).astype(float)
    np.testing.assert_array_equal(compute_scores(goals) > 0, goals == 1)


def test_numbers_are_met_about() -> None:
    goal = 10.0 * PART[:, None] + DRAW.normal(size=(ROWS, 1))
    assert np.abs(compute_scores(goal) - 10.0 * PART[:, None]).max() < 1


@pytest.mark.parametrize("goal", [np.ones((ROWS, 1)), np.full((ROWS, 1), 3.5)])
def test_where_all_rows_agree_there_is_nothing_to_learn(goal: Array) -> None:
    weights, offsets = fit_score_models(TABLE, goal)
    assert not weights.any()
    assert offsets.tolist() == [0]


def test_without_parts_or_goals_the_shapes_are_right() -> None:
    weights, offsets = fit_score_models(TABLE[:, :0], np.ones((ROWS, 2)))
    assert (weights.shape, offsets.shape) == ((0, 2), (2,))
    weights, offsets = fit_score_models(TABLE, np.ones((ROWS, 0)))
    assert (weights.shape, offsets.shape) == ((4, 0), (0,))
