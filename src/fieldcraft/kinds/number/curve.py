"""Piecewise-linear functions that are quick to evaluate for millions of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldcraft.contracts import Array

CELLS = 16_384
MOST_STEPS = 8


class Curve:
    """A function that is straight between knots and stops at the first and the last one.

    The same as `np.interp`, which searches each value among all knots. Here a grid of equal
    cells tells the piece at which the cell of a value begins, and a step or two from there finds
    its own. Where so many knots crowd into one cell that this would not be quicker, the curve
    searches too. Which way is taken depends on the knots alone, never on the values.
    """

    def __init__(self, x: Array, y: Array, axis: Array | None = None) -> None:
        """A curve through knots.

        Args:
            x: of the knots, increasing, at least two.
            y: of the knots.
            axis: of the knots, on the scale that is to be cut in equal cells; x if left out.
        """
        axis = x if axis is None else axis
        self.x, self.y = x, y
        with np.errstate(over="ignore"):
            slope = np.diff(y) / np.diff(x)
        self.slope = np.append(np.where(np.isfinite(slope), slope, 0.0), 0.0)
        self.next = np.append(x[1:-1], [np.inf, np.inf])  # where each piece ends
        self.origin, self.scale = axis[0], CELLS / max(axis[-1] - axis[0], np.finfo(float).tiny)
        cells = self._cells(axis)
        self.first = np.maximum(np.searchsorted(cells, np.arange(CELLS)) - 1, 0).astype(np.int16)
        self.steps = int(np.bincount(cells[1:-1], minlength=1).max())

    def _cells(self, axis: Array) -> Array:
        cells = (axis - self.origin) * self.scale
        return np.asarray(np.clip(cells, 0, CELLS - 1).astype(np.int16))

    def __call__(self, x: Array, axis: Array | None = None) -> Array:
        """The curve at values, which are given on the scale of the cells too where it differs."""
        if self.steps > MOST_STEPS:
            return np.asarray(np.interp(x, self.x, self.y))
        inside = np.clip(x, self.x[0], self.x[-1])
        piece = self.first.take(self._cells(inside if axis is None else axis))
        for _ in range(self.steps):
            piece += inside >= self.next.take(piece)
        rise = self.slope.take(piece) * (inside - self.x.take(piece))
        return np.asarray(self.y.take(piece) + rise)


class Curves:
    """Several curves at once, each for a column of its own; quicker where rows are few.

    Values are the same to the last bit, as the same pieces are found and the same sums done.
    """

    def __init__(self, curves: Sequence[Curve]) -> None:
        """Lay curves side by side; none of them may be one that searches, see `Curve`."""
        self.inner = [curve.x[1:-1] for curve in curves]
        self.low = np.array([curve.x[0] for curve in curves])
        self.high = np.array([curve.x[-1] for curve in curves])
        sizes = [len(curve.x) for curve in curves]
        self.starts = np.cumsum([0, *sizes[:-1]])
        parts = [(curve.x, curve.y, curve.slope) for curve in curves]
        self.x, self.y, self.slope = (np.concatenate(part) for part in zip(*parts, strict=True))

    def __call__(self, columns: Array) -> Array:
        """The curves at values, shape (rows, curves)."""
        inside = np.clip(columns, self.low, self.high)
        found = [x.searchsorted(inside[:, i], "right") for i, x in enumerate(self.inner)]
        piece = np.stack(found, axis=1) + self.starts
        rise = self.slope.take(piece) * (inside - self.x.take(piece))
        return np.asarray(self.y.take(piece) + rise)
