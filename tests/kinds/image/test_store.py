from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fieldcraft.contracts import Array
from fieldcraft.kinds.image import store as door
from fieldcraft.kinds.image.decode import decode
from fieldcraft.kinds.image.store import Store, look_at, space
from tests.drawing import draw_photo

FILL = np.array([1, 2, 3], dtype=np.uint8)


def test_photos_come_in_the_order_asked_for(tmp_path: Path) -> None:
    paths = [draw_photo(tmp_path / f"{i}.png", i) for i in range(12)]
    store = Store(16)
    found = store.pixels([paths[3], None, *paths[::-1]], FILL)
    assert found.shape == (14, 16, 16, 3)
    assert (found[1] == FILL).all()
    np.testing.assert_array_equal(found[0], found[2 + 12 - 1 - 3])
    alone = Store(16).pixels([paths[3]], FILL)
    np.testing.assert_array_equal(found[0], alone[0])


def test_broken_and_absent_photos_get_the_fill(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    found = Store(8).pixels([str(tmp_path / "broken.jpg"), str(tmp_path / "absent.jpg")], FILL)
    assert (found == FILL).all()
    assert look_at([str(tmp_path / "broken.jpg")]) == [None]


def test_a_photo_is_decoded_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = draw_photo(tmp_path / "1.png")
    calls: list[int] = []

    def watched(data: bytes, side: int) -> Array:
        calls.append(side)
        return decode(data, side)

    monkeypatch.setattr(door, "decode", watched)
    store = Store(8)
    first = store.pixels([path, path], FILL)
    store.pixels([path], FILL)
    assert calls == [8]
    draw_photo(tmp_path / "1.png", 5, "square")
    assert (store.pixels([path], FILL) != first[0]).any()
    assert calls == [8, 8]


def test_pixels_go_to_disk_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not isinstance(space((2, 2)), np.memmap)
    monkeypatch.setattr(door, "SHARE", 1 << 60)
    found = space((2, 2))
    assert isinstance(found, np.memmap)
    found[:] = 7
    assert (found == 7).all()


def test_blocks_grow_with_the_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "BLOCK", 3 * 8 * 8 * 2)  # two photos
    paths = [draw_photo(tmp_path / f"{i}.png", i) for i in range(5)]
    store = Store(8)
    together = store.pixels(paths, FILL)
    assert len(store.blocks) == 3
    for path, expected in zip(paths, together, strict=True):
        np.testing.assert_array_equal(store.pixels([path], FILL)[0], expected)
