"""Which places of a photo speak for a prediction, and which against it.

Zeiler & Fergus, *Visualizing and Understanding Convolutional Networks*, ECCV 2014: a square is
moved over the photo, and at each place the model is asked what it says of the rest.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from fieldcraft.contracts import Array, Json, Rescore
from fieldcraft.kinds.image.decode import DAMAGE, broken, opened, upright

GRID, SQUARE = 8, 2  # cells a side; cells a side that are covered at once, so each several times
SQUARES = [(y, x) for y in range(GRID - SQUARE + 1) for x in range(GRID - SQUARE + 1)]
NOISE = 1e-6  # of the scores, below which differences are those of rounding
SIDE, SHOWN = 384, 160  # pixels of the longer side: of the photo that is asked about; of the map
DARKEST, LIGHTEST = 0.3, 0.88  # of the grey photo below the colours
CHROMA, BLUE = 0.15, np.deg2rad(255)  # for; against is the opposite hue, orange


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


def heat(photo: Image.Image, weights: Array) -> str:
    """Weights as colours over the grey photo, a small JPEG as a ``data:`` address.

    Lightness is the photo's, hue and chroma are the weights', so neither hides the other; equal
    steps of weight are equal steps to the eye (Oklab, Ottosson 2020). Blue and orange are told
    apart by nearly all who do not tell red from green.
    """
    share = SHOWN / max(photo.size)
    width, height = (max(round(share * side), 1) for side in photo.size)
    small = photo.resize((width, height), Image.Resampling.BICUBIC)
    grid = Image.fromarray(weights.astype(np.float32))
    spread = np.clip(np.asarray(grid.resize(small.size, Image.Resampling.BICUBIC)), -1, 1)
    luminance = linear(np.asarray(small) / 255) @ (0.2126, 0.7152, 0.0722)
    light = DARKEST + (LIGHTEST - DARKEST) * np.cbrt(luminance)
    chroma = CHROMA * spread
    mapped = from_oklab(light, chroma * np.cos(BLUE), chroma * np.sin(BLUE))
    stream = io.BytesIO()
    Image.fromarray(mapped).save(stream, "JPEG", quality=88, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def linear(coded: Array) -> Array:
    """Light from coded values (sRGB, IEC 61966-2-1)."""
    found: Array = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return found


def from_oklab(light: Array, a: Array, b: Array) -> Array:
    """Oklab to 8-bit sRGB; colours that a screen cannot show are cut."""
    cones = np.stack(
        [
            light + 0.3963377774 * a + 0.2158037573 * b,
            light - 0.1055613458 * a - 0.0638541728 * b,
            light - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=-1,
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    light_of = np.clip(cones**3 @ to_rgb.T, 0, 1)
    coded = np.where(light_of <= 0.0031308, 12.92 * light_of, 1.055 * light_of ** (1 / 2.4) - 0.055)
    found: Array = np.rint(255 * coded).astype(np.uint8)
    return found
