"""Piecewise-linear interpolation that is fast for millions of values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fieldcraft.core.types import Array

N_GRID_CELLS = 16_384  # 32 KiB of 16-bit integers, the size of a first-level cache
MAX_LOOKUP_STEPS = 8  # with more, the binary search of np.interp is as fast


class LinearInterpolator:
    """Linear interpolation between knots, constant outside of them.

    It computes what `np.interp` does, which runs a binary search for each value. Here a grid of
    equal cells gives the first piece in the cell of a value, and a step or two from there leads to
    the piece of the value. Where many knots crowd into one cell, `np.interp` is called instead.
    That choice depends on the knots alone, so a value gives the same result in any batch.
    """

    def __init__(self, x: Array, y: Array, axis: Array | None = None) -> None:
        """Set up the grid.

        Args:
            x: increasing positions of the knots, at least two.
            y: values at the knots.
            axis: positions of the knots on the scale on which the cells of the grid are equal: an
                increasing function of x, such as its logarithm; x itself if left out.
        """
        axis = x if axis is None else axis
        self.x, self.y = x, y
        # Adjacent knots may be so close that the slope overflows; such a piece is a step.
        with np.errstate(over="ignore"):
            slope = np.diff(y) / np.diff(x)
        self.slope = np.append(np.where(np.isfinite(slope), slope, 0.0), 0.0)
        # Infinite at the end, so that no step goes beyond the last piece.
        self.piece_ends = np.append(x[1:-1], [np.inf, np.inf])
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
        """Interpolate at `x`; `axis` is `x` on the scale of the grid, if that is another."""
        if self.lookup_steps > MAX_LOOKUP_STEPS:
            return np.asarray(np.interp(x, self.x, self.y))
        clipped = np.clip(x, self.x[0], self.x[-1])
        piece = self.first_piece_of_cell.take(self._grid_cells(clipped if axis is None else axis))
        for _ in range(self.lookup_steps):
            piece += clipped >= self.piece_ends.take(piece)
        increase = self.slope.take(piece) * (clipped - self.x.take(piece))
        return np.asarray(self.y.take(piece) + increase)


class BatchedLinearInterpolator:
    """Several interpolators at once, one per column; faster for a few rows.

    Results equal those of the single interpolators to the last bit: the same pieces are found and
    the same sums computed.
    """

    def __init__(self, interpolators: Sequence[LinearInterpolator]) -> None:
        """Concatenate interpolators, none of which may need `np.interp`."""
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
        """Interpolate each column of `values`, shape (rows, columns)."""
        clipped = np.clip(values, self.low, self.high)
        pieces = [x.searchsorted(clipped[:, i], "right") for i, x in enumerate(self.inner_knots)]
        piece = np.stack(pieces, axis=1) + self.first_knots
        increase = self.slope.take(piece) * (clipped - self.x.take(piece))
        return np.asarray(self.y.take(piece) + increase)
