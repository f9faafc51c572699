"""Sums over the entries of a sparse table, and its leading directions, in NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array

N_OVERSAMPLES = 10  # directions more than wanted, for accuracy
N_POWER_ITERATIONS = 2
MIN_RELATIVE_SINGULAR_VALUE = 1e-6  # of the largest singular value; what is less is rounding


@dataclass(frozen=True)
class CooMatrix:
    """A table of which most cells are zero: for each other cell its row, column and value."""

    row: Array
    column: Array
    value: Array
    shape: tuple[int, int]

    @property
    def transpose(self) -> CooMatrix:
        """Rows as columns."""
        return CooMatrix(self.column, self.row, self.value, self.shape[::-1])

    def matmul(self, dense: Array) -> Array:
        """The matrix product with a dense table.

        Each row is summed by itself in the order of its entries, so that it does not depend on
        other rows, as it may in a product by BLAS. Quickest for a table stored by columns.
        """
        product = np.empty((self.shape[0], dense.shape[1]), order="F")  # column by column
        for k, column in enumerate(dense.T):
            weights = self.value * np.ascontiguousarray(column)[self.column]
            product[:, k] = np.bincount(self.row, weights=weights, minlength=self.shape[0])
        return product


def compute_leading_singular_vectors(
    left: CooMatrix, right: CooMatrix, max_components: int
) -> Array:
    """The leading right singular vectors of the product of two sparse tables.

    Halko, Martinsson and Tropp, *Finding structure with randomness*, SIAM Review 2011.

    Returns:
        Shape (columns of the inner table, at most `most`), orthonormal columns; fewer where the
        product has fewer directions.
    """
    n_components = min(max_components + N_OVERSAMPLES, *left.shape, right.shape[1])
    basis = np.random.default_rng(0).normal(size=(right.shape[1], n_components))
    if not n_components:
        return basis
    right_transpose, left_transpose = right.transpose, left.transpose
    for _ in range(N_POWER_ITERATIONS):
        range_basis = np.linalg.qr(left.matmul(right.matmul(basis)))[0]
        basis = np.linalg.qr(right_transpose.matmul(left_transpose.matmul(range_basis)))[0]
    _, singular_values, rotation = np.linalg.svd(
        left.matmul(right.matmul(basis)), full_matrices=False
    )
    rank = int((singular_values > MIN_RELATIVE_SINGULAR_VALUE * singular_values[0]).sum())
    return np.asarray(basis @ rotation[: min(rank, max_components)].T)
