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

from fieldcraft.contracts import Array
from fieldcraft.core.errors import DataError
from fieldcraft.core.optional import needs

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")
MOST_PIXELS = 200_000_000  # of a photo as it is stored; 60,000 x 60,000 are 3.6 billion
BITS_12, BITS_16 = 4_095, 65_535
WIDE = ("I", "I;16", "I;16L", "I;16B", "I;16N", "F")  # modes of more than 8 bits
CAMERA = (0x010F, 0x0110)  # EXIF marks: its maker and its model
ORIENTATION, ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # the EXIF mark, and what it may say
SEEN_THROUGH = 255  # what lies behind transparent pixels: white, as on a page


@dataclass(frozen=True)
class Glance:
    """What the head of a photo says: its size as shown, how it is stored, and its EXIF marks."""

    width: int
    height: int
    form: str
    mode: str
    camera: str = ""


def glance(data: bytes) -> Glance:
    """What the head of a photo says; its pixels are not read.

    Raises:
        DataError: it is no photo, or one of too many pixels.
    """
    image = opened(data)
    try:
        marks = image.getexif()
        turned = marks.get(ORIENTATION, 1) in ON_ITS_SIDE
        camera = " ".join(str(marks.get(mark, "")).strip("\0 ") for mark in CAMERA).strip()
    except DAMAGE as error:
        raise broken(f"{type(error).__name__}: {error}") from error
    width, height = image.size[::-1] if turned else image.size
    return Glance(width, height, str(image.format), image.mode, camera)


def decode(data: bytes, side: int) -> Array:
    """A photo as a square of pixels, shape (side, side, 3), unsigned 8-bit integers.

    Its proportions give way: the whole photo is stretched over the square, with antialiasing.

    Raises:
        DataError: it is no photo, damaged, cut short, or of too many pixels.
    """
    image = opened(data)
    try:
        # A JPEG is decoded at half, a quarter or an eighth of its size where that is enough.
        image.draft("RGB", (2 * side, 2 * side))
        return resized(upright(image), side)
    except DAMAGE as error:
        raise broken(f"{type(error).__name__}: {error}") from error


def thumbnail(data: bytes, side: int = 128) -> str:
    """A photo in its own proportions as a small JPEG, a ``data:`` address.

    Raises:
        DataError: it is no photo, damaged, cut short, or of too many pixels.
    """
    image = opened(data)
    stream = io.BytesIO()
    try:
        image.draft("RGB", (2 * side, 2 * side))
        small = upright(image)
        small.thumbnail((side, side))
        small.save(stream, "JPEG", quality=85)
    except DAMAGE as error:
        raise broken(f"{type(error).__name__}: {error}") from error
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, KeyError, MemoryError)


def opened(data: bytes) -> Image:
    """A photo whose head is read.

    Raises:
        DataError: it is no photo, or one of too many pixels.
    """
    needs("image")
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd EXIF and of many pixels, which we count
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise broken(str(error)) from error
    except DAMAGE as error:
        raise broken("empty" if not data else "not a photo of a known form") from error
    if image.width * image.height > MOST_PIXELS:
        raise broken(f"{image.width:,} x {image.height:,} pixels are more than 200 million")
    return image


def upright(image: Image) -> Image:
    """The photo as it is meant to be seen, as 8-bit RGB."""
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = ImageOps.exif_transpose(image)
        if image.mode in WIDE:
            return narrowed(image)
        if image.has_transparency_data:
            behind = Image.new("RGBA", image.size, (SEEN_THROUGH,) * 3 + (255,))
            behind.alpha_composite(image.convert("RGBA"))
            image = behind
        return image.convert("RGB")


def narrowed(image: Image) -> Image:
    """A photo of more than 8 bits, or of fractions, with 8 bits.

    Scanners and medical devices store 12 bits in 16: where no pixel has more, white is 4,095.
    """
    from PIL import Image

    pixels = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if image.mode == "F":
        low, high = float(pixels.min(initial=0.0)), float(pixels.max(initial=0.0))
    else:
        low, most = 0.0, pixels.max(initial=0.0)
        high = 255.0 if most <= 255 else BITS_12 if most <= BITS_12 else BITS_16
    scaled = (pixels - low) * (255.0 / max(high - low, 1e-12))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8)).convert("RGB")


def resized(image: Image, side: int) -> Array:
    """A photo stretched over a square."""
    from PIL import Image

    if image.size != (side, side):
        image = image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(image)


def broken(why: str) -> DataError:
    """The error for bytes of which no photo can be made."""
    return DataError(
        "a photo cannot be read",
        seen=why[:200],
        way_out="open it with the program that made it and save it as JPEG or PNG, or take it out",
    )
