"""Sums over sparse tables and their leading directions."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.core.types import Array
from fieldcraft.kinds.text.sparse import CooMatrix, compute_leading_singular_vectors

DRAW = np.random.default_rng(0)


def to_coo(dense: Array) -> CooMatrix:
    row, column = np.nonzero(dense)
    return CooMatrix(row, column, dense[row, column], (dense.shape[0], dense.shape[1]))


def random_sparse(rows: int, columns: int, share: float = 0.2) -> Array:
    found: Array = DRAW.normal(size=(rows, columns)) * (DRAW.random((rows, columns)) < share)
    return found


@pytest.mark.parametrize("shape", [(30, 20), (1, 5), (0, 4), (3, 0)])
def test_the_product_is_that_of_dense_tables(shape: tuple[int, int]) -> None:
    left, right = random_sparse(*shape), DRAW.normal(size=(shape[1], 3))
    np.testing.assert_allclose(to_coo(left).matmul(right), left @ right, atol=1e-12)
    other = DRAW.normal(size=(shape[0], 2))
    np.testing.assert_allclose(to_coo(left).transpose.matmul(other), left.T @ other, atol=1e-12)


def test_a_row_is_summed_alike_alone_and_among_others() -> None:
    left, right = random_sparse(40, 500, 0.5), DRAW.normal(size=(500, 8))
    together = to_coo(left).matmul(right)
    alone = np.vstack([to_coo(left[i : i + 1]).matmul(right) for i in range(40)])
    np.testing.assert_array_equal(together, alone)


def test_leading_directions_hold_as_much_as_the_exact_ones() -> None:
    outer, inner = random_sparse(300, 200), random_sparse(200, 150)
    inner[:, :5] *= 20  # a few directions that matter
    product = outer @ inner
    exact = np.linalg.svd(product, full_matrices=False)[2][:8].T
    found = compute_leading_singular_vectors(to_coo(outer), to_coo(inner), 8)
    np.testing.assert_allclose(found.T @ found, np.eye(8), atol=1e-8)
    held = np.linalg.norm(product @ found) / np.linalg.norm(product @ exact)
    assert held > 0.99


@pytest.mark.parametrize(("rows", "rank"), [(50, 3), (4, 4), (1, 1)])
def test_there_are_no_more_directions_than_the_product_has(rows: int, rank: int) -> None:
    outer = DRAW.normal(size=(rows, rank)) @ np.eye(rank, 20)
    found = compute_leading_singular_vectors(to_coo(outer), to_coo(DRAW.normal(size=(20, 90))), 32)
    assert found.shape == (90, rank)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (5, 5)])
def test_a_table_of_nothing_has_no_direction(shape: tuple[int, int]) -> None:
    nothing = to_coo(np.zeros(shape))
    assert compute_leading_singular_vectors(nothing, to_coo(np.zeros((shape[1], 9))), 32).shape == (
        9,
        0,
    )
