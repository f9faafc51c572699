from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fieldcraft.core.errors import DataError
from fieldcraft.kinds.image import decode as door
from fieldcraft.kinds.image.decode import decode_image, read_image_header
from tests.images import draw_image

SIDE = 32


def encode_image(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def write_png_header(width: int, height: int) -> bytes:
    """Return a PNG with a header and no pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + head
    check = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk + check


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_every_format_gives_nearly_the_same_pixels(form: str) -> None:
    image = draw_image(1, size=(64, 64)).resize((32, 32)).resize((64, 64))  # without noise
    result = decode_image(encode_image(image, form), SIDE).astype(int)
    assert result.shape == (SIDE, SIDE, 3)
    assert np.abs(result - decode_image(encode_image(image), SIDE)).mean() < 6


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "RGBA", "LA", "YCbCr", "LAB"])
def test_every_mode_is_converted_to_rgb(mode: str) -> None:
    form = "JPEG" if mode in ("CMYK", "YCbCr") else "TIFF" if mode == "LAB" else "PNG"
    image = draw_image(1)
    image = image.convert("RGB").convert(mode) if mode != "LAB" else to_lab(image)
    result = decode_image(encode_image(image, form), SIDE)
    assert result.shape == (SIDE, SIDE, 3)
    assert result.dtype == np.uint8
    assert result.std() > 5


def to_lab(image: Image.Image) -> Image.Image:
    """Convert an image to LAB mode."""
    return Image.merge("LAB", image.split())


@pytest.mark.parametrize(("most", "white"), [(255, 255), (4_095, 4_095), (65_535, 65_535)])
def test_sixteen_bit_images_are_scaled_to_eight(most: int, white: int) -> None:
    ramp = np.linspace(0, most, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
    result = decode_image(encode_image(Image.fromarray(ramp), "PNG"), SIDE)
    np.testing.assert_allclose(result[..., 0], ramp * (255 / white), atol=1)


def test_float_images_are_scaled_to_their_range() -> None:
    ramp = np.linspace(-2, 3, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.float32)
    ramp[0, 1] = np.nan
    result = decode_image(encode_image(Image.fromarray(ramp), "TIFF"), SIDE)
    assert (result.min(), result.max()) == (0, 255)


def test_transparent_pixels_are_white() -> None:
    result = decode_image(encode_image(Image.new("RGBA", (8, 8), (0, 0, 0, 0))), SIDE)
    assert (result == 255).all()


def test_the_exif_orientation_is_applied() -> None:
    upright = Image.new("RGB", (60, 40))
    upright.paste((255, 0, 0), (0, 0, 60, 20))  # red above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    lying = upright.rotate(90, expand=True)
    data = encode_image(lying, "JPEG", exif=exif, quality=95)
    assert (read_image_header(data).width, read_image_header(data).height) == (60, 40)
    result = decode_image(data, SIDE)
    assert result[4, :, 0].mean() > 200
    assert result[-4, :, 0].mean() < 50


def test_the_first_frame_is_used() -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = encode_image(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(data, SIDE)[0, 0].tolist() == pytest.approx([255, 0, 0], abs=2)


@pytest.mark.parametrize("bad", ["empty", "text", "truncated", "huge", "many", "svg"])
def test_invalid_images_are_errors(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode_image(draw_image(1, size=(200, 200)), "JPEG")
    data = {
        "empty": b"", "text": b"not a photo", "truncated": whole[: len(whole) // 2],
        "huge": write_png_header(60_000, 60_000), "many": write_png_header(15_000, 15_000),
        "svg": b"<svg/>",
    }[bad]  # fmt: skip
    with pytest.raises(DataError, match="a photo cannot be read"):
        decode_image(data, SIDE)


def test_memory_is_bounded_for_large_jpegs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    plain = door.to_upright_rgb

    def watched(image: Image.Image) -> Image.Image:
        seen.append(image.size)
        return plain(image)

    monkeypatch.setattr(door, "to_upright_rgb", watched)
    decode_image(encode_image(Image.new("RGB", (1_600, 1_200)), "JPEG"), SIDE)
    assert seen == [(200, 150)]


def test_decoding_is_deterministic(tmp_path: Path) -> None:
    data = encode_image(draw_image(3))
    np.testing.assert_array_equal(
        decode_image(data, SIDE), decode_image(bytes(data), SIDE), strict=True
    )
