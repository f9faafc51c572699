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


def test_among_many_hashes_those_that_differ_little_meet() -> None:
    draw = np.random.default_rng(5)
    count = near.MANY + 5_000
    hashes = draw.integers(0, 1 << 63, count, dtype=np.uint64)
    copies = [(count - 9, count - 1), (3, count - 20), (17, 18)]
    for (one, other), flipped in zip(copies, ([], [5], [2, 40, 61]), strict=True):
        hashes[other] = hashes[one] ^ np.uint64(sum(1 << bit for bit in flipped))
    found = {tuple(pair) for pairs in near.hashed_pairs(hashes) for pair in pairs.tolist()}
    assert set(copies) <= found
    assert len(found) < 0.1 * count  # others hardly ever meet


def test_a_bucket_of_very_many_is_bounded() -> None:
    same = np.full(3_000, 7, dtype=np.uint64)
    pairs = sum(map(len, near.hashed_pairs(same)))
    assert pairs <= near.TABLES * near.BUCKET * len(same)


def test_hashes_of_photos_that_look_alike_differ_in_few_bits() -> None:
    scenes = squares([scene(seed) for seed in range(40)])
    paler = squares([ImageEnhance.Contrast(scene(seed)).enhance(0.8) for seed in range(40)])
    one, other = (near.hashes(near.first_look(pixels)[1]) for pixels in (scenes, paler))
    differ = np.bitwise_count(one ^ other)
    assert differ.max() <= 4
    apart = np.bitwise_count(one[:, None] ^ one[None])[np.triu_indices(40, 1)]
    assert apart.min() > 8


def test_copies_beyond_what_is_compared_one_by_one_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near, "MANY", 50)
    scenes = [scene(seed) for seed in range(120)]
    darker = ImageEnhance.Brightness(scenes[118]).enhance(0.8)
    smaller = scenes[5].resize((48, 48)).resize((90, 70))
    assert groups_of(squares([*scenes, darker, smaller])) == [[5, 121], [118, 120]]
