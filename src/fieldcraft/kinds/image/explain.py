"""Which places of a photo speak for a prediction, and which against it.

Zeiler & Fergus, *Visualizing and Understanding Convolutional Networks*, ECCV 2014: a square is
moved over the photo, and at each place the model is asked what it says of the rest.
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

GRID_CELLS, OCCLUSION_CELLS = (
    8,
    2,
)  # cells a side; cells a side that are covered at once, so each several times
OCCLUSION_POSITIONS = [
    (y, x)
    for y in range(GRID_CELLS - OCCLUSION_CELLS + 1)
    for x in range(GRID_CELLS - OCCLUSION_CELLS + 1)
]
RELATIVE_TOLERANCE = 1e-6  # of the scores, below which differences are those of rounding
MAX_SIDE_PIXELS = 384  # pixels of the longer side of the photo that is asked about


def explain_image(data: bytes, score: ScoreFunction) -> Json:
    """Where a photo speaks for what was said of it.

    Args:
        data: the photo.
        score: addresses of photos to scores.

    Returns:
        ``weights`` of the cells of a grid from -1, against, to 1, for; ``picture``, these as blue
        and orange over the photo; and ``most``: by how much the heaviest cell moves the score.

    Raises:
        DataError: it is no photo, damaged, cut short, or of too many pixels.
    """
    try:
        photo = to_upright_rgb(open_image(data))
    except DECODE_ERRORS as error:
        raise unreadable_image_error(f"{type(error).__name__}: {error}") from error
    photo.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS))
    pixels = np.asarray(photo)
    # In files, not in addresses that carry them: these would be remembered with all their bytes.
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
        "picture": render_heatmap(photo, weights),
        "most": max_effect,
        "weights": weights.round(4).tolist(),
    }


def occlude(pixels: Array, position: tuple[int, int]) -> Array:
    """The photo with a square in its mean colour."""
    occluded = pixels.copy()
    (top, bottom), (left, right) = (
        [side * cell // GRID_CELLS for cell in (start, start + OCCLUSION_CELLS)]
        for side, start in zip(pixels.shape, position, strict=False)
    )
    occluded[top:bottom, left:right] = pixels.mean(axis=(0, 1)).round()
    return occluded


def average_effects_per_cell(effects: Array) -> Array:
    """For each cell the mean effect of the squares that cover it, shape (cells, cells)."""
    total, count = np.zeros((GRID_CELLS, GRID_CELLS)), np.zeros((GRID_CELLS, GRID_CELLS))
    for effect, (y, x) in zip(effects, OCCLUSION_POSITIONS, strict=True):
        total[y : y + OCCLUSION_CELLS, x : x + OCCLUSION_CELLS] += effect
        count[y : y + OCCLUSION_CELLS, x : x + OCCLUSION_CELLS] += 1
    return total / count
