from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fieldcraft.core.types import Array
from fieldcraft.kinds.image import pixel_cache as door
from fieldcraft.kinds.image.decode import decode_image
from fieldcraft.kinds.image.pixel_cache import PixelCache, allocate_pixels, read_image_headers
from tests.images import save_image

FILL = np.array([1, 2, 3], dtype=np.uint8)


def test_pixels_are_in_the_requested_order(tmp_path: Path) -> None:
    paths = [save_image(tmp_path / f"{i}.png", i) for i in range(12)]
    store = PixelCache(16)
    result = store.get_pixels([paths[3], None, *paths[::-1]], FILL)
    assert result.shape == (14, 16, 16, 3)
    assert (result[1] == FILL).all()
    np.testing.assert_array_equal(result[0], result[2 + 12 - 1 - 3])
    alone = PixelCache(16).get_pixels([paths[3]], FILL)
    np.testing.assert_array_equal(result[0], alone[0])


def test_broken_and_missing_images_get_the_fill_color(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    result = PixelCache(8).get_pixels(
        [str(tmp_path / "broken.jpg"), str(tmp_path / "absent.jpg")], FILL
    )
    assert (result == FILL).all()
    assert read_image_headers([str(tmp_path / "broken.jpg")]) == [None]


def test_an_image_is_decoded_again_only_if_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_image(tmp_path / "1.png")
    calls: list[int] = []

    def watched(data: bytes, side: int) -> Array:
        calls.append(side)
        return decode_image(data, side)

    monkeypatch.setattr(door, "decode_image", watched)
    store = PixelCache(8)
    first = store.get_pixels([path, path], FILL)
    store.get_pixels([path], FILL)
    assert calls == [8]
    save_image(tmp_path / "1.png", 5, "square")
    assert (store.get_pixels([path], FILL) != first[0]).any()
    assert calls == [8, 8]


def test_pixels_are_on_disk_if_memory_is_scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(allocate_pixels((2, 2)), np.memmap)
    monkeypatch.setattr(door, "MEMORY_FRACTION_DIVISOR", 1 << 60)
    result = allocate_pixels((2, 2))
    assert isinstance(result, np.memmap)
    result[:] = 7
    assert (result == 7).all()


def test_blocks_are_added_as_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "BLOCK_BYTES", 3 * 8 * 8 * 2)  # two photos
    paths = [save_image(tmp_path / f"{i}.png", i) for i in range(5)]
    store = PixelCache(8)
    together = store.get_pixels(paths, FILL)
    assert len(store.blocks) == 3
    for path, expected in zip(paths, together, strict=True):
        np.testing.assert_array_equal(store.get_pixels([path], FILL)[0], expected)
