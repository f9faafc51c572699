from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from fieldcraft.contracts import Array
from fieldcraft.kinds.image import near
from tests.drawing import picture

SIDE = 32


def squares(images: list[Image.Image]) -> Array:
    return np.stack([np.asarray(image.resize((SIDE, SIDE))) for image in images])


def groups_of(pixels: Array) -> list[list[int]]:
    groups, whole = near.near_groups(pixels)
    assert whole
    return [group.tolist() for group in groups]


def scene(seed: int) -> Image.Image:
    """A photo of many smooth patches."""
    chance = np.random.default_rng(seed)
    patches = chance.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((96, 96), Image.Resampling.BICUBIC)


def test_other_sizes_light_and_forms_of_a_photo_are_found() -> None:
    scenes = [scene(seed) for seed in range(20)]
    brighter = ImageEnhance.Brightness(scenes[3]).enhance(0.8)
    smaller = scenes[3].resize((48, 48)).resize((90, 70))
    paler = ImageEnhance.Contrast(scenes[8]).enhance(0.7)
    groups = groups_of(squares([*scenes, brighter, smaller, paler]))
    assert groups == [[3, 20, 21], [8, 22]]


def test_photos_of_one_sort_are_not_the_same() -> None:
    assert groups_of(squares([picture(seed) for seed in range(60)])) == []
    assert groups_of(squares([scene(seed) for seed in range(200)])) == []


@pytest.mark.parametrize("colour", ["black", "white", (90, 90, 90)])
def test_photos_that_show_nothing_are_not_compared(colour: str) -> None:
    assert groups_of(squares([Image.new("RGB", (40, 40), colour)] * 5)) == []


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [scene(seed % 7) for seed in range(30)]
    whole = groups_of(squares(images))
    monkeypatch.setattr(near, "BLOCK", 4)
    assert groups_of(squares(images)) == whole
    assert sorted(map(len, whole)) == [4, 4, 4, 4, 4, 5, 5]


def test_none_and_one_photo() -> None:
    assert groups_of(np.zeros((0, SIDE, SIDE, 3), dtype=np.uint8)) == []
    assert groups_of(squares([scene(0)])) == []


def test_where_very_many_are_alike_it_says_that_it_left_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near, "BLOCK", 4)
    monkeypatch.setattr(near, "MOST_PAIRS", 20)
    groups, whole = near.near_groups(squares([scene(0)] * 30))
    assert len(groups) == 1
    assert not whole
