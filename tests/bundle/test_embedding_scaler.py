"""Embeddings are standardized like scikit-learn does, within bounds."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from fieldcraft.bundle.embedding_scaler import fit_embedding_scaler


def test_embeddings_are_standardized_by_the_present_ones() -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal([1.0, -5.0, 3.0], [2.0, 0.1, 1.0], (50, 3))
    vectors[:, 2] = 3.0  # one that never changes is only moved
    gaps = np.full((2, 3), np.nan)
    gaps[0, 0] = 7.0  # of a vector with a gap nothing counts
    scaler = fit_embedding_scaler(np.concatenate([vectors, gaps]))
    expected = StandardScaler().fit(vectors)
    fresh = draw.normal([1.0, -5.0, 3.0], [2.0, 0.1, 1e-9], (20, 3))
    np.testing.assert_allclose(scaler.transform(fresh), expected.transform(fresh), atol=1e-6)
    assert scaler.transform(gaps)[1].tolist() == [0, 0, 0]


def test_embeddings_are_clipped_at_ten_standard_deviations() -> None:
    scaler = fit_embedding_scaler(np.array([[-1.0], [1.0]]))
    assert scaler.transform(np.array([[9.5], [10.5], [-1e9]])).tolist() == [[9.5], [10], [-10]]


@pytest.mark.parametrize(("spread", "scaled"), [(2e-6, 1.0), (0.5e-6, 0.5e-6)])
def test_a_nearly_constant_direction_is_not_scaled(spread: float, scaled: float) -> None:
    scaler = fit_embedding_scaler(np.array([[-spread], [spread]]))
    assert float(scaler.transform(np.array([[spread]]))[0, 0]) == pytest.approx(scaled)


def test_without_embeddings_the_scaler_is_the_identity() -> None:
    scaler = fit_embedding_scaler(np.full((3, 2), np.nan))
    assert scaler.transform(np.array([[4.0, -2.0]])).tolist() == [[4, -2]]
