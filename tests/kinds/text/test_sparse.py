"""Products of sparse matrices and their leading singular vectors."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.core.types import Array
from fieldcraft.kinds.text.sparse import CooMatrix, compute_leading_singular_vectors

RNG = np.random.default_rng(0)


def to_coo(dense: Array) -> CooMatrix:
    row, column = np.nonzero(dense)
    return CooMatrix(row, column, dense[row, column], (dense.shape[0], dense.shape[1]))


def random_sparse(rows: int, columns: int, density: float = 0.2) -> Array:
    values: Array = RNG.normal(size=(rows, columns)) * (RNG.random((rows, columns)) < density)
    return values


@pytest.mark.parametrize("shape", [(30, 20), (1, 5), (0, 4), (3, 0)])
def test_product_equals_the_dense_product(shape: tuple[int, int]) -> None:
    left, right = random_sparse(*shape), RNG.normal(size=(shape[1], 3))
    np.testing.assert_allclose(to_coo(left).matmul(right), left @ right, atol=1e-12)
    right = RNG.normal(size=(shape[0], 2))
    np.testing.assert_allclose(to_coo(left).transpose.matmul(right), left.T @ right, atol=1e-12)


def test_product_of_a_row_does_not_depend_on_other_rows() -> None:
    left, right = random_sparse(40, 500, 0.5), RNG.normal(size=(500, 8))
    together = to_coo(left).matmul(right)
    alone = np.vstack([to_coo(left[i : i + 1]).matmul(right) for i in range(40)])
    np.testing.assert_array_equal(together, alone)


def test_leading_directions_are_close_to_the_exact_svd() -> None:
    outer, inner = random_sparse(300, 200), random_sparse(200, 150)
    inner[:, :5] *= 20  # a few directions that matter
    product = outer @ inner
    exact = np.linalg.svd(product, full_matrices=False)[2][:8].T
    directions = compute_leading_singular_vectors(to_coo(outer), to_coo(inner), 8)
    np.testing.assert_allclose(directions.T @ directions, np.eye(8), atol=1e-8)
    captured = np.linalg.norm(product @ directions) / np.linalg.norm(product @ exact)
    assert captured > 0.99


@pytest.mark.parametrize(("rows", "rank"), [(50, 3), (4, 4), (1, 1)])
def test_number_of_directions_is_at_most_the_rank(rows: int, rank: int) -> None:
    outer = RNG.normal(size=(rows, rank)) @ np.eye(rank, 20)
    directions = compute_leading_singular_vectors(
        to_coo(outer), to_coo(RNG.normal(size=(20, 90))), 32
    )
    assert directions.shape == (90, rank)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (5, 5)])
def test_zero_matrix_has_no_direction(shape: tuple[int, int]) -> None:
    zeros = to_coo(np.zeros(shape))
    assert compute_leading_singular_vectors(zeros, to_coo(np.zeros((shape[1], 9))), 32).shape == (
        9,
        0,
    )
