"""Vectors of a pretrained encoder are standardised as scikit-learn does it, within bounds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from fieldcraft.bundle.embedding_scaler import fit_embedding_scaler


def test_vectors_are_standardised_by_those_that_are_there() -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal([1.0, -5.0, 3.0], [2.0, 0.1, 1.0], (50, 3))
    vectors[:, 2] = 3.0  # one that never changes is only moved
    gaps = np.full((2, 3), np.nan)
    gaps[0, 0] = 7.0  # of a vector with a gap nothing counts
    meaning = fit_embedding_scaler(np.concatenate([vectors, gaps]))
    scaler = StandardScaler().fit(vectors)
    fresh = draw.normal([1.0, -5.0, 3.0], [2.0, 0.1, 1e-9], (20, 3))
    np.testing.assert_allclose(meaning.transform(fresh), scaler.transform(fresh), atol=1e-6)
    assert meaning.transform(gaps)[1].tolist() == [0, 0, 0]


def test_far_vectors_stop_at_ten_standard_deviations() -> None:
    meaning = fit_embedding_scaler(np.array([[-1.0], [1.0]]))
    assert meaning.transform(np.array([[9.5], [10.5], [-1e9]])).tolist() == [[9.5], [10], [-10]]


@pytest.mark.parametrize(("spread", "scaled"), [(2e-6, 1.0), (0.5e-6, 0.5e-6)])
def test_a_direction_that_hardly_changes_is_not_blown_up(spread: float, scaled: float) -> None:
    meaning = fit_embedding_scaler(np.array([[-spread], [spread]]))
    assert float(meaning.transform(np.array([[spread]]))[0, 0]) == pytest.approx(scaled)


def test_without_any_vector_nothing_is_changed() -> None:
    meaning = fit_embedding_scaler(np.full((3, 2), np.nan))
    assert meaning.transform(np.array([[4.0, -2.0]])).tolist() == [[4, -2]]
