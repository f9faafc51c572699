"""What trees and linear models see of a photo: colours by place, and the directions of edges."""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array

GRID_CELLS = 4  # fields a side
ORIENTATION_BINS = 8  # directions of edges
BATCH_IMAGES = 256
NORM_EPSILON = 1e-3
FEATURE_NAMES = (
    *(f"{colour} {row + 1}.{column + 1}" for row in range(GRID_CELLS) for column in range(GRID_CELLS)
      for colour in ("red", "green", "blue")),
    *(f"edges {row + 1}.{column + 1} {direction * 180 // ORIENTATION_BINS}°" for row in range(GRID_CELLS)
      for column in range(GRID_CELLS) for direction in range(ORIENTATION_BINS)),
    "contrast", "edges in all",
)  # fmt: skip


def extract_features(pixels: Array) -> Array:
    """Hand-made features of photos, shape (photos, 178), 32-bit floats.

    Of each field of a 4 x 4 grid its mean colour, and how strong its edges are in each of eight
    directions, as shares (histograms of oriented gradients; Dalal & Triggs, CVPR 2005).

    Args:
        pixels: shape (photos, side, side, 3), unsigned 8-bit integers.
    """
    parts = [
        extract_batch_features(pixels[start : start + BATCH_IMAGES])
        for start in range(0, len(pixels), BATCH_IMAGES)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(FEATURE_NAMES)), dtype=np.float32)


def extract_batch_features(pixels: Array) -> Array:
    """Features of a few photos at once."""
    rgb = pixels.astype(np.float32) / 255
    gray = rgb.mean(axis=-1)
    gradient_x = np.zeros_like(gray)
    gradient_y = np.zeros_like(gray)
    gradient_x[:, :, 1:-1] = gray[:, :, 2:] - gray[:, :, :-2]
    gradient_y[:, 1:-1] = gray[:, 2:] - gray[:, :-2]
    magnitude = np.hypot(gradient_x, gradient_y)
    # Light on dark and dark on light are the same edge: half a turn, cut into directions.
    orientation = np.arctan2(gradient_y, gradient_x) % np.pi
    orientation_bin = np.minimum(
        (orientation * (ORIENTATION_BINS / np.pi)).astype(np.int8), ORIENTATION_BINS - 1
    )
    edges = np.stack(
        [
            average_per_cell((magnitude * (orientation_bin == bin_index))[..., None])
            for bin_index in range(ORIENTATION_BINS)
        ],
        axis=-1,
    ).reshape(len(pixels), GRID_CELLS * GRID_CELLS, ORIENTATION_BINS)
    mean_magnitude = magnitude.mean(axis=(1, 2))
    normalized_edges = edges / (np.linalg.norm(edges, axis=2, keepdims=True) + NORM_EPSILON)
    return np.hstack(
        [
            average_per_cell(rgb).reshape(len(pixels), -1),
            normalized_edges.reshape(len(pixels), -1),
            gray.std(axis=(1, 2))[:, None],
            mean_magnitude[:, None],
        ]
    ).astype(np.float32)


def average_per_cell(values: Array) -> Array:
    """Means over the fields of the grid, shape (photos, grid, grid, channels)."""
    side = values.shape[1]
    cell_edges = np.linspace(0, side, GRID_CELLS + 1).astype(int)
    row_sums = np.add.reduceat(values, cell_edges[:-1], axis=1)
    cell_sums = np.add.reduceat(row_sums, cell_edges[:-1], axis=2)
    cell_sizes = np.diff(cell_edges)
    return np.asarray(cell_sums / (cell_sizes[:, None] * cell_sizes)[None, :, :, None])
