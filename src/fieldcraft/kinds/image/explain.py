"""Explain a prediction by occlusion of the photo.

Zeiler & Fergus, *Visualizing and Understanding Convolutional Networks*, ECCV 2014: a square is
moved over the photo, and the model is scored with each position covered.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from fieldcraft.contracts import ScoreFunction
from fieldcraft.core.types import Array, Json
from fieldcraft.kinds.image.decode import (
    DECODE_ERRORS,
    open_image,
    to_upright_rgb,
    unreadable_image_error,
)
from fieldcraft.kinds.image.heatmap import render_heatmap

GRID_CELLS = 8  # per side
OCCLUSION_CELLS = 2  # per side, covered at once: up to four squares cover each cell
OCCLUSION_POSITIONS = [
    (y, x)
    for y in range(GRID_CELLS - OCCLUSION_CELLS + 1)
    for x in range(GRID_CELLS - OCCLUSION_CELLS + 1)
]
RELATIVE_TOLERANCE = 1e-6  # of the scores; smaller differences are rounding
MAX_SIDE_PIXELS = 384  # of the longer side; larger photos are reduced first


def explain_image(data: bytes, score: ScoreFunction) -> Json:
    """Explain a score by the regions of a photo.

    Args:
        data: the bytes of the photo.
        score: maps addresses of photos to scores.

    Returns:
        ``weights`` of the cells of a grid, from -1 (against the prediction) to 1 (for it);
        ``heatmap``, the weights as orange and blue over the photo; ``max_effect``, the largest
        change of the score by a cell.

    Raises:
        DataError: the bytes are not a photo, damaged, truncated, or have too many pixels.
    """
    try:
        photo = to_upright_rgb(open_image(data))
    except DECODE_ERRORS as error:
        raise unreadable_image_error(f"{type(error).__name__}: {error}") from error
    photo.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
    pixels = np.asarray(photo)
    # As files and not as data URLs, which would stay in the pixel cache as keys with all their
    # bytes. As BMP, since the artifacts of JPEG change scores.
    with TemporaryDirectory(prefix="fieldcraft-") as folder:
        paths = [Path(folder) / f"{i}.bmp" for i in range(1 + len(OCCLUSION_POSITIONS))]
        photo.save(paths[0])
        for path, square in zip(paths[1:], OCCLUSION_POSITIONS, strict=True):
            Image.fromarray(occlude(pixels, square)).save(path)
        scores = score([str(path) for path in paths])
    effects = average_effects_per_cell(scores[0] - scores[1:])
    max_effect = float(np.abs(effects).max())
    if max_effect < RELATIVE_TOLERANCE * np.abs(scores).max():
        effects, max_effect = np.zeros_like(effects), 0.0
    weights = effects / (max_effect or 1.0)
    return {
        "heatmap": render_heatmap(photo, weights),
        "max_effect": max_effect,
        "weights": weights.round(4).tolist(),
    }


def occlude(pixels: Array, position: tuple[int, int]) -> Array:
    """Cover a square of the photo with its mean color."""
    occluded = pixels.copy()
    (top, bottom), (left, right) = (
        [side * cell // GRID_CELLS for cell in (start, start + OCCLUSION_CELLS)]
        for side, start in zip(pixels.shape, position, strict=False)
    )
    occluded[top:bottom, left:right] = pixels.mean(axis=(0, 1)).round()
    return occluded


def average_effects_per_cell(effects: Array) -> Array:
    """The mean effect of the squares that cover each cell, shape (cells, cells)."""
    total, count = np.zeros((GRID_CELLS, GRID_CELLS)), np.zeros((GRID_CELLS, GRID_CELLS))
    for effect, (y, x) in zip(effects, OCCLUSION_POSITIONS, strict=True):
        total[y : y + OCCLUSION_CELLS, x : x + OCCLUSION_CELLS] += effect
        count[y : y + OCCLUSION_CELLS, x : x + OCCLUSION_CELLS] += 1
    return total / count
