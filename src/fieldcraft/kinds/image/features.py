"""What trees and linear models see of a photo: colours by place, and the directions of edges."""

from __future__ import annotations

import numpy as np

from fieldcraft.contracts import Array

GRID = 4  # fields a side
BINS = 8  # directions of edges
ROWS_AT_ONCE = 256
TINY = 1e-3
NAMES = (
    *(f"{colour} {row + 1}.{column + 1}" for row in range(GRID) for column in range(GRID)
      for colour in ("red", "green", "blue")),
    *(f"edges {row + 1}.{column + 1} {direction * 180 // BINS}°" for row in range(GRID)
      for column in range(GRID) for direction in range(BINS)),
    "contrast", "edges in all",
)  # fmt: skip


def describe(pixels: Array) -> Array:
    """Hand-made features of photos, shape (photos, 178), 32-bit floats.

    Of each field of a 4 x 4 grid its mean colour, and how strong its edges are in each of eight
    directions, as shares (histograms of oriented gradients; Dalal & Triggs, CVPR 2005).

    Args:
        pixels: shape (photos, side, side, 3), unsigned 8-bit integers.
    """
    parts = [
        describe_some(pixels[start : start + ROWS_AT_ONCE])
        for start in range(0, len(pixels), ROWS_AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(NAMES)), dtype=np.float32)


def describe_some(pixels: Array) -> Array:
    """Features of a few photos at once."""
    whole = pixels.astype(np.float32) / 255
    grey = whole.mean(axis=-1)
    across = np.zeros_like(grey)
    down = np.zeros_like(grey)
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    strength = np.hypot(across, down)
    # Light on dark and dark on light are the same edge: half a turn, cut into directions.
    turn = np.arctan2(down, across) % np.pi
    direction = np.minimum((turn * (BINS / np.pi)).astype(np.int8), BINS - 1)
    edges = np.stack(
        [by_field((strength * (direction == number))[..., None]) for number in range(BINS)], axis=-1
    ).reshape(len(pixels), GRID * GRID, BINS)
    total = strength.mean(axis=(1, 2))
    shares = edges / (np.linalg.norm(edges, axis=2, keepdims=True) + TINY)
    return np.hstack(
        [
            by_field(whole).reshape(len(pixels), -1),
            shares.reshape(len(pixels), -1),
            grey.std(axis=(1, 2))[:, None],
            total[:, None],
        ]
    ).astype(np.float32)


def by_field(values: Array) -> Array:
    """Means over the fields of the grid, shape (photos, grid, grid, channels)."""
    side = values.shape[1]
    cuts = np.linspace(0, side, GRID + 1).astype(int)
    rows = np.add.reduceat(values, cuts[:-1], axis=1)
    fields = np.add.reduceat(rows, cuts[:-1], axis=2)
    sizes = np.diff(cuts)
    return np.asarray(fields / (sizes[:, None] * sizes)[None, :, :, None])
