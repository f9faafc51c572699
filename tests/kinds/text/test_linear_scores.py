"""Linear models over character n-grams: one for each class, label or number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from fieldcraft.core.types import Array
from fieldcraft.kinds.text.linear_scores import build_score_targets, fit_score_models

RNG = np.random.default_rng(0)
ROWS = 300
TFIDF = sparse.csr_matrix(np.eye(4)[RNG.integers(0, 4, ROWS)])
BUCKET = TFIDF.toarray().argmax(axis=1)


def test_every_class_gets_a_score_target() -> None:
    codes = np.array([0, 1, 2, 0])
    target = (codes[:, None] == np.arange(1, 3)).astype(float)
    np.testing.assert_array_equal(build_score_targets(target), np.eye(3)[codes])


@pytest.mark.parametrize(
    "target", [[[0.0], [1.0]], [[1.0, 1.0], [0.0, 1.0]], [[0.5], [2.0]], [[0.2, 0.3], [0.1, 0.7]]]
)
def test_labels_and_numbers_are_score_targets_unchanged(target: list[list[float]]) -> None:
    np.testing.assert_array_equal(build_score_targets(np.array(target)), target)


def compute_scores(score_targets: Array) -> Array:
    weights, offsets = fit_score_models(TFIDF, score_targets)
    return np.asarray(TFIDF @ weights + offsets)


def test_binary_scores_have_the_sign_of_the_class() -> None:
    score_targets = np.stack([BUCKET == 2, BUCKET < 2], axis=1).astype(float)
    np.testing.assert_array_equal(compute_scores(score_targets) > 0, score_targets == 1)


def test_numeric_scores_approximate_the_target() -> None:
    target = 10.0 * BUCKET[:, None] + RNG.normal(size=(ROWS, 1))
    assert np.abs(compute_scores(target) - 10.0 * BUCKET[:, None]).max() < 1


@pytest.mark.parametrize("target", [np.ones((ROWS, 1)), np.full((ROWS, 1), 3.5)])
def test_constant_target_gives_zero_weights(target: Array) -> None:
    weights, offsets = fit_score_models(TFIDF, target)
    assert not weights.any()
    assert offsets.tolist() == [0]


def test_shapes_without_buckets_or_targets() -> None:
    weights, offsets = fit_score_models(TFIDF[:, :0], np.ones((ROWS, 2)))
    assert (weights.shape, offsets.shape) == ((0, 2), (2,))
    weights, offsets = fit_score_models(TFIDF, np.ones((ROWS, 0)))
    assert (weights.shape, offsets.shape) == ((4, 0), (0,))
