"""Handcrafted features of photos for trees and linear models: colors and edge orientations."""

from __future__ import annotations

import numpy as np

from fieldcraft.core.types import Array

GRID_CELLS = 4  # per side
ORIENTATION_BINS = 8
BATCH_IMAGES = 256
NORM_EPSILON = 1e-3  # keeps the noise of cells without edges from being amplified
FEATURE_NAMES = (
    *(
        f"{color} {row + 1}.{column + 1}"
        for row in range(GRID_CELLS)
        for column in range(GRID_CELLS)
        for color in ("red", "green", "blue")
    ),
    *(
        f"edges {row + 1}.{column + 1} {direction * 180 // ORIENTATION_BINS}°"
        for row in range(GRID_CELLS)
        for column in range(GRID_CELLS)
        for direction in range(ORIENTATION_BINS)
    ),
    "contrast",
    "edges in all",
)


def extract_features(pixels: Array) -> Array:
    """Extract features of photos, shape (photos, 178), float32.

    For each cell of a 4 x 4 grid the mean color, and a normalized histogram of the edge strength
    in eight directions (histograms of oriented gradients; Dalal & Triggs, CVPR 2005).

    Args:
        pixels: shape (photos, side, side, 3), uint8.
    """
    parts = [
        extract_batch_features(pixels[start : start + BATCH_IMAGES])
        for start in range(0, len(pixels), BATCH_IMAGES)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(FEATURE_NAMES)), dtype=np.float32)


def extract_batch_features(pixels: Array) -> Array:
    """Extract the features of one batch."""
    rgb = pixels.astype(np.float32) / 255
    gray = rgb.mean(axis=-1)
    gradient_x = np.zeros_like(gray)
    gradient_y = np.zeros_like(gray)
    gradient_x[:, :, 1:-1] = gray[:, :, 2:] - gray[:, :, :-2]
    gradient_y[:, 1:-1] = gray[:, 2:] - gray[:, :-2]
    magnitude = np.hypot(gradient_x, gradient_y)
    # Modulo half a turn, since light on dark and dark on light are the same edge.
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
    """Means over the cells of the grid, shape (photos, grid, grid, channels)."""
    side = values.shape[1]
    # If the side is not a multiple of the grid, cells differ by a pixel.
    cell_edges = np.linspace(0, side, GRID_CELLS + 1).astype(int)
    row_sums = np.add.reduceat(values, cell_edges[:-1], axis=1)
    cell_sums = np.add.reduceat(row_sums, cell_edges[:-1], axis=2)
    cell_sizes = np.diff(cell_edges)
    return np.asarray(cell_sums / (cell_sizes[:, None] * cell_sizes)[None, :, :, None])
