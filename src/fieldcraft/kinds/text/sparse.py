"""Sums over the entries of a sparse table, and its leading directions, in NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import Array

EXTRA = 10  # directions more than wanted, for accuracy
TURNS = 2
SMALLEST = 1e-6  # of the largest singular value; what is less is rounding


@dataclass(frozen=True)
class Sparse:
    """A table of which most cells are zero: for each other cell its row, column and value."""

    row: Array
    column: Array
    value: Array
    shape: tuple[int, int]

    @property
    def transposed(self) -> Sparse:
        """Rows as columns."""
        return Sparse(self.column, self.row, self.value, self.shape[::-1])

    def times(self, dense: Array) -> Array:
        """The matrix product with a dense table.

        Each row is summed by itself in the order of its entries, so that it does not depend on
        other rows, as it may in a product by BLAS. Quickest for a table stored by columns.
        """
        found = np.empty((self.shape[0], dense.shape[1]), order="F")  # column by column
        for k, column in enumerate(dense.T):
            weights = self.value * np.ascontiguousarray(column)[self.column]
            found[:, k] = np.bincount(self.row, weights=weights, minlength=self.shape[0])
        return found


def leading_directions(outer: Sparse, inner: Sparse, most: int) -> Array:
    """The leading right singular vectors of the product of two sparse tables.

    Halko, Martinsson and Tropp, *Finding structure with randomness*, SIAM Review 2011.

    Returns:
        Shape (columns of the inner table, at most `most`), orthonormal columns; fewer where the
        product has fewer directions.
    """
    count = min(most + EXTRA, *outer.shape, inner.shape[1])
    basis = np.random.default_rng(0).normal(size=(inner.shape[1], count))
    if not count:
        return basis
    back, forth = inner.transposed, outer.transposed
    for _ in range(TURNS):
        seen = np.linalg.qr(outer.times(inner.times(basis)))[0]
        basis = np.linalg.qr(back.times(forth.times(seen)))[0]
    _, sizes, turned = np.linalg.svd(outer.times(inner.times(basis)), full_matrices=False)
    found = int((sizes > SMALLEST * sizes[0]).sum())
    return np.asarray(basis @ turned[: min(found, most)].T)
