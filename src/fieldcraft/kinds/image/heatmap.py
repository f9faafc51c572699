"""Render weights of regions as colors over a grayscale photo.

The photo sets the lightness and the weights set hue and chroma, so that neither hides the other.
Equal steps of weight look equal (Oklab, Ottosson 2020). Blue and orange are distinguishable with
the common forms of color blindness.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from fieldcraft.core.types import Array
from fieldcraft.kinds.image.decode import encode_jpeg_data_url

MAX_SIDE_PIXELS = 160  # of the longer side
MIN_LIGHTNESS, MAX_LIGHTNESS = 0.3, 0.88  # since black and white have no hue
MAX_CHROMA = 0.15
POSITIVE_HUE_RADIANS = np.deg2rad(255)  # blue; negative weights have the opposite hue, orange
JPEG_QUALITY = 88


def render_heatmap(photo: Image.Image, weights: Array) -> str:
    """Render a grid of weights from -1 to 1 over a photo, as a small JPEG data URL."""
    scale = MAX_SIDE_PIXELS / max(photo.size)
    width, height = (max(round(scale * side), 1) for side in photo.size)
    resized = photo.resize((width, height), Image.Resampling.BICUBIC)
    grid = Image.fromarray(weights.astype(np.float32))
    weight_map = np.clip(np.asarray(grid.resize(resized.size, Image.Resampling.BICUBIC)), -1, 1)
    # The luminance weights of sRGB (ITU-R BT.709); the cube root is the lightness of Oklab.
    luminance = srgb_to_linear(np.asarray(resized) / 255) @ (0.2126, 0.7152, 0.0722)
    lightness = MIN_LIGHTNESS + (MAX_LIGHTNESS - MIN_LIGHTNESS) * np.cbrt(luminance)
    chroma = MAX_CHROMA * weight_map
    rgb = oklab_to_srgb(
        lightness, chroma * np.cos(POSITIVE_HUE_RADIANS), chroma * np.sin(POSITIVE_HUE_RADIANS)
    )
    # Without chroma subsampling, which would blur the colors that show the weights.
    return encode_jpeg_data_url(Image.fromarray(rgb), JPEG_QUALITY, subsampling=0)


def srgb_to_linear(coded: Array) -> Array:
    """Linear light from sRGB values from 0 to 1 (IEC 61966-2-1)."""
    linear_rgb: Array = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return linear_rgb


def oklab_to_srgb(lightness: Array, a: Array, b: Array) -> Array:
    """Oklab to 8-bit sRGB; colors outside the gamut are clipped."""
    # The matrices are those of Ottosson, *A perceptual color space for image processing*, 2020.
    lms = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=-1,
    )
    lms_to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear_rgb = np.clip(lms**3 @ lms_to_rgb.T, 0, 1)
    coded = np.where(
        linear_rgb <= 0.0031308, 12.92 * linear_rgb, 1.055 * linear_rgb ** (1 / 2.4) - 0.055
    )
    srgb: Array = np.rint(255 * coded).astype(np.uint8)
    return srgb
