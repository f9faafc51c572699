"""Weights of places as colours over a grey photo.

Lightness is the photo's, hue and chroma are the weights', so neither hides the other; equal steps
of weight are equal steps to the eye (Oklab, Ottosson 2020). Blue and orange are told apart by
nearly all who do not tell red from green.
"""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

from fieldcraft.contracts import Array

SHOWN = 160  # pixels of the longer side
DARKEST, LIGHTEST = 0.3, 0.88  # of the grey photo below the colours
CHROMA, BLUE = 0.15, np.deg2rad(255)  # for; against is the opposite hue, orange


def heat(photo: Image.Image, weights: Array) -> str:
    """A grid of weights from -1 to 1 over a photo, a small JPEG as a ``data:`` address."""
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
