"""Products and a truncated SVD of sparse matrices, in NumPy only: bundles run without SciPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array

# Halko, Martinsson & Tropp (2011): 5 to 10 extra directions and one or two power
# iterations are enough where singular values decay slowly, as those of texts do.
N_OVERSAMPLES = 10
N_POWER_ITERATIONS = 2
MIN_RELATIVE_SINGULAR_VALUE = 1e-6  # smaller ones are rounding errors


@dataclass(frozen=True)
class CooMatrix:
    """A sparse matrix in coordinate format: row, column and value of each entry."""

    row: Array
    column: Array
    value: Array
    shape: tuple[int, int]

    @property
    def transpose(self) -> CooMatrix:
        """The transposed matrix, which shares its arrays."""
        return CooMatrix(self.column, self.row, self.value, self.shape[::-1])

    def matmul(self, dense: Array) -> Array:
        """Return the product with a dense matrix; fastest if that is in Fortran order.

        Each row is summed in the order of its own entries. BLAS may sum a row in another order
        depending on the other rows, so a row predicted alone and in a batch could differ.
        """
        product = np.empty((self.shape[0], dense.shape[1]), order="F")
        for k, column in enumerate(dense.T):
            weights = self.value * np.ascontiguousarray(column)[self.column]
            product[:, k] = np.bincount(self.row, weights=weights, minlength=self.shape[0])
        return product


def compute_leading_singular_vectors(
    left: CooMatrix, right: CooMatrix, max_components: int
) -> Array:
    """Compute the leading right singular vectors of ``left @ right`` by randomized SVD.

    Halko, Martinsson & Tropp, *Finding structure with randomness*, SIAM Review 2011.

    Returns:
        Shape (columns of `right`, at most `max_components`), orthonormal columns; fewer where the
        product has a lower rank.
    """
    n_components = min(max_components + N_OVERSAMPLES, *left.shape, right.shape[1])
    basis = np.random.default_rng(0).normal(size=(right.shape[1], n_components))
    if not n_components:
        return basis
    right_transpose, left_transpose = right.transpose, left.transpose
    # QR after every product: without it all columns converge to the first singular vector.
    for _ in range(N_POWER_ITERATIONS):
        range_basis = np.linalg.qr(left.matmul(right.matmul(basis)))[0]
        basis = np.linalg.qr(right_transpose.matmul(left_transpose.matmul(range_basis)))[0]
    _, singular_values, rotation = np.linalg.svd(
        left.matmul(right.matmul(basis)), full_matrices=False
    )
    rank = int((singular_values > MIN_RELATIVE_SINGULAR_VALUE * singular_values[0]).sum())
    return np.asarray(basis @ rotation[: min(rank, max_components)].T)
