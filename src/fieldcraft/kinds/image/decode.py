"""From the bytes of a photo to pixels: the one path for training and prediction, bit for bit.

Whatever a photo comes as (JPEG, PNG, WebP, TIFF, BMP, GIF; grey, with a palette, CMYK, with 16
bits, turned by its EXIF mark, of several frames), it becomes 8-bit RGB of the size that is asked
for, of its first frame, upright.
"""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fieldcraft.core.errors import DataError
from fieldcraft.core.extras import require_extra
from fieldcraft.core.types import Array

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
MAX_PIXELS = 200_000_000  # of a photo as it is stored; 60,000 x 60,000 are 3.6 billion
MAX_12_BIT, MAX_16_BIT = 4_095, 65_535
HIGH_BIT_DEPTH_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")  # modes of more than 8 bits
EXIF_CAMERA_TAGS = (0x010F, 0x0110)  # EXIF marks: its maker and its model
EXIF_ORIENTATION_TAG, ROTATED_ORIENTATIONS = (
    0x0112,
    (5, 6, 7, 8),
)  # the EXIF mark, and what it may say
TRANSPARENT_BACKGROUND = 255  # what lies behind transparent pixels: white, as on a page


@dataclass(frozen=True)
class ImageHeader:
    """What the head of a photo says: its size as shown, how it is stored, and its EXIF marks."""

    width: int
    height: int
    format: str
    mode: str
    camera: str = ""


def read_image_header(data: bytes) -> ImageHeader:
    """What the head of a photo says; its pixels are not read.

    Raises:
        DataError: it is no photo, or one of too many pixels.
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
    """A photo as a square of pixels, shape (side, side, 3), unsigned 8-bit integers.

    Its proportions give way: the whole photo is stretched over the square, with antialiasing.

    Raises:
        DataError: it is no photo, damaged, cut short, or of too many pixels.
    """
    image = open_image(data)
    try:
        # A JPEG is decoded at half, a quarter or an eighth of its size where that is enough.
        image.draft("RGB", (2 * side, 2 * side))
        return resize_to_square(to_upright_rgb(image), side)
    except DECODE_ERRORS as error:
        raise unreadable_image_error(f"{type(error).__name__}: {error}") from error


def render_thumbnail(data: bytes, side: int = 128) -> str:
    """A photo in its own proportions as a small JPEG, a ``data:`` address.

    Raises:
        DataError: it is no photo, damaged, cut short, or of too many pixels.
    """
    image = open_image(data)
    stream = io.BytesIO()
    try:
        image.draft("RGB", (2 * side, 2 * side))
        small = to_upright_rgb(image)
        small.thumbnail((side, side))
        small.save(stream, "JPEG", quality=85)
    except DECODE_ERRORS as error:
        raise unreadable_image_error(f"{type(error).__name__}: {error}") from error
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


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
    """A photo whose head is read.

    Raises:
        DataError: it is no photo, or one of too many pixels.
    """
    require_extra("image")
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd EXIF and of many pixels, which we count
            image = Image.open(io.BytesIO(data), formats=IMAGE_FORMATS)
    except Image.DecompressionBombError as error:
        raise unreadable_image_error(str(error)) from error
    except DECODE_ERRORS as error:
        raise unreadable_image_error(
            "empty" if not data else "not a photo of a known form"
        ) from error
    if image.width * image.height > MAX_PIXELS:
        raise unreadable_image_error(
            f"{image.width:,} x {image.height:,} pixels are more than 200 million"
        )
    return image


def to_upright_rgb(image: Image) -> Image:
    """The photo as it is meant to be seen, as 8-bit RGB."""
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
    """A photo of more than 8 bits, or of fractions, with 8 bits.

    Scanners and medical devices store 12 bits in 16: where no pixel has more, white is 4,095.
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
    """A photo stretched over a square."""
    from PIL import Image

    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(image)


def unreadable_image_error(reason: str) -> DataError:
    """The error for bytes of which no photo can be made."""
    return DataError(
        "a photo cannot be read",
        detail=reason[:200],
        hint="open it with the program that made it and save it as JPEG or PNG, or take it out",
    )
