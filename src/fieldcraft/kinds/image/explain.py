"""Which places of a photo speak for a prediction, and which against it.

Zeiler & Fergus, *Visualizing and Understanding Convolutional Networks*, ECCV 2014: a square is
moved over the photo, and at each place the model is asked what it says of the rest.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from fieldcraft.contracts import Array, Json, Rescore
from fieldcraft.kinds.image.decode import DAMAGE, broken, opened, upright
from fieldcraft.kinds.image.heat import heat

GRID, SQUARE = 8, 2  # cells a side; cells a side that are covered at once, so each several times
SQUARES = [(y, x) for y in range(GRID - SQUARE + 1) for x in range(GRID - SQUARE + 1)]
NOISE = 1e-6  # of the scores, below which differences are those of rounding
SIDE = 384  # pixels of the longer side of the photo that is asked about


def explained(data: bytes, said: Rescore) -> Json:
    """Where a photo speaks for what was said of it.

    Args:
        data: the photo.
        said: addresses of photos to scores.

    Returns:
        ``weights`` of the cells of a grid from -1, against, to 1, for; ``picture``, these as blue
        and orange over the photo; and ``most``: by how much the heaviest cell moves the score.

    Raises:
        DataError: it is no photo, damaged, cut short, or of too many pixels.
    """
    try:
        photo = upright(opened(data))
    except DAMAGE as error:
        raise broken(f"{type(error).__name__}: {error}") from error
    photo.thumbnail((SIDE, SIDE))
    pixels = np.asarray(photo)
    # In files, not in addresses that carry them: these would be remembered with all their bytes.
    with TemporaryDirectory(prefix="fieldcraft-") as folder:
        places = [Path(folder) / f"{i}.bmp" for i in range(1 + len(SQUARES))]
        photo.save(places[0])
        for place, square in zip(places[1:], SQUARES, strict=True):
            Image.fromarray(covered(pixels, square)).save(place)
        scores = said([str(place) for place in places])
    effects = by_cell(scores[0] - scores[1:])
    most = float(np.abs(effects).max())
    if most < NOISE * np.abs(scores).max():
        effects, most = np.zeros_like(effects), 0.0
    weights = effects / (most or 1.0)
    return {"picture": heat(photo, weights), "most": most, "weights": weights.round(4).tolist()}


def covered(pixels: Array, square: tuple[int, int]) -> Array:
    """The photo with a square in its mean colour."""
    found = pixels.copy()
    (top, bottom), (left, right) = (
        [side * cell // GRID for cell in (start, start + SQUARE)]
        for side, start in zip(pixels.shape, square, strict=False)
    )
    found[top:bottom, left:right] = pixels.mean(axis=(0, 1)).round()
    return found


def by_cell(effects: Array) -> Array:
    """For each cell the mean effect of the squares that cover it, shape (cells, cells)."""
    total, count = np.zeros((GRID, GRID)), np.zeros((GRID, GRID))
    for effect, (y, x) in zip(effects, SQUARES, strict=True):
        total[y : y + SQUARE, x : x + SQUARE] += effect
        count[y : y + SQUARE, x : x + SQUARE] += 1
    return total / count
