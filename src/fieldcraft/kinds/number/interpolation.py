"""Piecewise-linear functions that are quick to evaluate for millions of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldcraft.core.types import Array

N_GRID_CELLS = 16_384
MAX_LOOKUP_STEPS = 8


class LinearInterpolator:
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
        self.piece_ends = np.append(x[1:-1], [np.inf, np.inf])  # where each piece ends
        self.origin, self.scale = (
            axis[0],
            N_GRID_CELLS / max(axis[-1] - axis[0], np.finfo(float).tiny),
        )
        cells = self._grid_cells(axis)
        self.first_piece_of_cell = np.maximum(
            np.searchsorted(cells, np.arange(N_GRID_CELLS)) - 1, 0
        ).astype(np.int16)
        self.lookup_steps = int(np.bincount(cells[1:-1], minlength=1).max())

    def _grid_cells(self, axis: Array) -> Array:
        cells = (axis - self.origin) * self.scale
        return np.asarray(np.clip(cells, 0, N_GRID_CELLS - 1).astype(np.int16))

    def __call__(self, x: Array, axis: Array | None = None) -> Array:
        """The curve at values, which are given on the scale of the cells too where it differs."""
        if self.lookup_steps > MAX_LOOKUP_STEPS:
            return np.asarray(np.interp(x, self.x, self.y))
        clipped = np.clip(x, self.x[0], self.x[-1])
        piece = self.first_piece_of_cell.take(self._grid_cells(clipped if axis is None else axis))
        for _ in range(self.lookup_steps):
            piece += clipped >= self.piece_ends.take(piece)
        increase = self.slope.take(piece) * (clipped - self.x.take(piece))
        return np.asarray(self.y.take(piece) + increase)


class BatchedLinearInterpolator:
    """Several curves at once, each for a column of its own; quicker where rows are few.

    Values are the same to the last bit, as the same pieces are found and the same sums done.
    """

    def __init__(self, interpolators: Sequence[LinearInterpolator]) -> None:
        """Lay curves side by side; none of them may be one that searches, see `Curve`."""
        self.inner_knots = [interpolator.x[1:-1] for interpolator in interpolators]
        self.low = np.array([interpolator.x[0] for interpolator in interpolators])
        self.high = np.array([interpolator.x[-1] for interpolator in interpolators])
        knot_counts = [len(interpolator.x) for interpolator in interpolators]
        self.first_knots = np.cumsum([0, *knot_counts[:-1]])
        parts = [
            (interpolator.x, interpolator.y, interpolator.slope) for interpolator in interpolators
        ]
        self.x, self.y, self.slope = (np.concatenate(part) for part in zip(*parts, strict=True))

    def __call__(self, values: Array) -> Array:
        """The curves at values, shape (rows, curves)."""
        clipped = np.clip(values, self.low, self.high)
        pieces = [x.searchsorted(clipped[:, i], "right") for i, x in enumerate(self.inner_knots)]
        piece = np.stack(pieces, axis=1) + self.first_knots
        increase = self.slope.take(piece) * (clipped - self.x.take(piece))
        return np.asarray(self.y.take(piece) + increase)
