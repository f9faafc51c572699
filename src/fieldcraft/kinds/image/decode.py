"""Decode image files to pixels, in the same way for training and prediction.

Whatever the file is (JPEG, PNG, WebP, TIFF, BMP, GIF; grayscale, palette, CMYK, 16-bit, rotated by
EXIF, of several frames), the result is its first frame, upright, as 8-bit RGB.
"""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fieldcraft.core.errors import DataError
from fieldcraft.core.extras import require_package
from fieldcraft.core.types import Array

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
MAX_PIXELS = 200_000_000  # guards against decompression bombs
MAX_12_BIT, MAX_16_BIT = 4_095, 65_535
HIGH_BIT_DEPTH_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")  # of Pillow
EXIF_CAMERA_TAGS = (0x010F, 0x0110)  # make and model
EXIF_ORIENTATION_TAG = 0x0112
ROTATED_ORIENTATIONS = (5, 6, 7, 8)  # width and height are swapped
TRANSPARENT_BACKGROUND = 255  # white
JPEG_QUALITY = 85


@dataclass(frozen=True)
class ImageHeader:
    """Facts from the header of a photo: displayed size in pixels, format, mode and camera."""

    width: int
    height: int
    format: str
    mode: str
    camera: str = ""


def read_image_header(data: bytes) -> ImageHeader:
    """Read the header of a photo without decoding its pixels.

    Raises:
        DataError: it is not a photo, or has too many pixels.
    """
    image = open_image(data)
    try:
        exif = image.getexif()
        is_rotated = exif.get(EXIF_ORIENTATION_TAG, 1) in ROTATED_ORIENTATIONS
        camera = " ".join(str(exif.get(tag, "")).strip("\0 ") for tag in EXIF_CAMERA_TAGS).strip()
    except DECODE_ERRORS as error:
        raise unreadable_image_error(f"{type(error).__name__}: {error}") from error
    width, height = image.size[::-1] if is_rotated else image.size
    return ImageHeader(width, height, str(image.format), image.mode, camera)


def decode_image(data: bytes, side: int) -> Array:
    """Decode a photo as a square, shape (side, side, 3), uint8.

    The whole photo is resized to the square, with antialiasing; its aspect ratio is not kept.

    Raises:
        DataError: it is not a photo, damaged, truncated, or has too many pixels.
    """
    image = open_image(data)
    try:
        # Faster: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is large enough.
        image.draft("RGB", (2 * side, 2 * side))
        return resize_to_square(to_upright_rgb(image), side)
    except DECODE_ERRORS as error:
        raise unreadable_image_error(f"{type(error).__name__}: {error}") from error


def render_thumbnail(data: bytes, side: int = 128) -> str:
    """Render a photo as a small JPEG data URL with its own aspect ratio.

    Raises:
        DataError: it is not a photo, damaged, truncated, or has too many pixels.
    """
    image = open_image(data)
    try:
        image.draft("RGB", (2 * side, 2 * side))
        small = to_upright_rgb(image)
        small.thumbnail((side, side))
        return encode_jpeg_data_url(small)
    except DECODE_ERRORS as error:
        raise unreadable_image_error(f"{type(error).__name__}: {error}") from error


def encode_jpeg_data_url(image: Image, quality: int = JPEG_QUALITY, subsampling: int = -1) -> str:
    """Encode an image as a JPEG data URL; chroma subsampling -1 is the default, 0 is none."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling=subsampling)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


# Errors of Pillow for damaged files; tests/kinds/image/test_faults.py provokes them.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    KeyError,
    MemoryError,
)


def open_image(data: bytes) -> Image:
    """Open a photo and read its header.

    Raises:
        DataError: it is not a photo, or has too many pixels.
    """
    require_package("pillow", "PIL")  # all that prediction needs of the extra `image`
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bad EXIF, and of the size, which is checked below
            image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    except Image.DecompressionBombError as error:
        raise unreadable_image_error(str(error)) from error
    except DECODE_ERRORS as error:
        raise unreadable_image_error(
            "empty" if not data else "not a photo in a known format"
        ) from error
    if image.width * image.height > MAX_PIXELS:
        raise unreadable_image_error(
            f"{image.width:,} x {image.height:,} pixels are more than 200 million"
        )
    return image


def to_upright_rgb(image: Image) -> Image:
    """Apply EXIF orientation and convert to 8-bit RGB, transparent pixels over white."""
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = ImageOps.exif_transpose(image)
        if image.mode in HIGH_BIT_DEPTH_MODES:
            return to_8_bit(image)
        if image.has_transparency_data:
            background = Image.new("RGBA", image.size, (TRANSPARENT_BACKGROUND,) * 3 + (255,))
            background.alpha_composite(image.convert("RGBA"))
            image = background
        return image.convert("RGB")


def to_8_bit(image: Image) -> Image:
    """Convert a photo of more than 8 bits, or of floats, to 8 bits.

    Scanners and medical devices store 12 bits in 16: if no pixel exceeds 4,095, that is white.
    """
    from PIL import Image

    pixels = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if image.mode == "F":
        low, high = float(pixels.min(initial=0.0)), float(pixels.max(initial=0.0))
    else:
        low, max_value = 0.0, pixels.max(initial=0.0)
        high = 255.0 if max_value <= 255 else MAX_12_BIT if max_value <= MAX_12_BIT else MAX_16_BIT
    scaled = (pixels - low) * (255.0 / max(high - low, 1e-12))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8)).convert("RGB")


def resize_to_square(image: Image, side: int) -> Array:
    """Resize to a square, shape (side, side, 3)."""
    from PIL import Image

    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(image)


def unreadable_image_error(reason: str) -> DataError:
    """The error for bytes that cannot be decoded as a photo."""
    return DataError(
        "a photo cannot be read",
        detail=reason[:200],
        hint="save it again as JPEG or PNG with an image editor, or remove it",
    )
