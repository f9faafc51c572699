"""Weights of the linear model for a penalty."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse, special
from sklearn.linear_model import Ridge

from fieldcraft.core.types import Array
from fieldcraft.learners.linear import solvers
from fieldcraft.learners.linear.solvers import (
    SolverData,
    make_class_solver,
    make_label_solver,
    make_value_solver,
)

DRAW = np.random.default_rng(0)
ROWS = 600
X = (DRAW.normal(size=(ROWS, 4)) + np.array([0, 100, 0, 0])).astype(np.float32)
NOISE = DRAW.normal(size=ROWS)
AMOUNT = X[:, 0] - X[:, 1] + NOISE + 7


def build_data(y: Array, width: int, design: Any = X, weights: Array | None = None) -> SolverData:
    return SolverData(design, y, np.ones(ROWS) if weights is None else weights, width, 500)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 300.0])
def test_ridge_is_scikit_learns_dense_or_sparse(
    penalty: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solvers, "BLOCK_ROWS", 256)
    heavy = DRAW.uniform(0.5, 1.5, ROWS)
    heavy /= heavy.mean()
    expected = Ridge(max(penalty, 1e-6)).fit(X.astype(np.float64), AMOUNT, sample_weight=heavy)
    for design in (X, sparse.csr_matrix(X)):
        weights, bias = make_value_solver(build_data(AMOUNT, 1, design, heavy))(penalty)
        np.testing.assert_allclose(weights[:, 0], expected.coef_, atol=1e-4)
        assert bias[0] == pytest.approx(expected.intercept_, abs=1e-2)


def test_columns_that_say_the_same_share_their_weight() -> None:
    weights, _ = make_value_solver(build_data(AMOUNT, 1, np.hstack([X, X])))(0.1)
    np.testing.assert_allclose(weights[:4], weights[4:], atol=1e-4)


def test_solving_again_with_another_penalty_is_solving_afresh() -> None:
    y = np.digitize(X[:, 0] + NOISE, [-1, 1])
    warm = make_class_solver(build_data(y, 3))
    warm(100.0)
    for result, expected in zip(warm(1.0), make_class_solver(build_data(y, 3))(1.0), strict=True):
        np.testing.assert_allclose(result, expected, atol=0.02)


def test_a_class_without_rows_has_its_share_by_laplaces_rule() -> None:
    y = np.array([0, 2])[(X[:, 0] + NOISE > 0).astype(int)]
    weights, bias = make_class_solver(build_data(y, 4))(1.0)
    shares = special.softmax(X @ weights + bias, axis=1)
    assert not weights[:, [1, 3]].any()
    np.testing.assert_allclose(shares.mean(axis=0)[[1, 3]], 1 / (ROWS + 4), rtol=0.5)


def test_one_class_needs_no_weights() -> None:
    weights, bias = make_class_solver(build_data(np.full(ROWS, 1), 3))(1.0)
    assert not weights.any()
    expected = np.array([1, ROWS + 1, 1]) / (ROWS + 3)
    np.testing.assert_allclose(special.softmax(bias), expected, rtol=1e-5)


def test_labels_are_solved_one_by_one() -> None:
    y = np.stack([X[:, 0] + NOISE > 0, np.ones(ROWS)], axis=1).astype(np.int64)
    weights, bias = make_label_solver(build_data(y, 2))(1.0)
    alone, its_bias = make_class_solver(build_data(y[:, 0], 2))(1.0)
    assert weights.shape == (4, 2)
    np.testing.assert_allclose(weights[:, 0], alone[:, 1], atol=1e-6)
    assert bias.tolist() == pytest.approx([its_bias[1], np.log(ROWS + 1)])


def test_some_of_the_rows_have_weights_of_mean_one() -> None:
    some = build_data(AMOUNT, 1, weights=np.linspace(0.5, 1.5, ROWS)).select_rows(np.arange(10))
    assert len(some.y) == len(some.design) == 10
    assert some.weights.mean() == pytest.approx(1)
