from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from fieldcraft.core.types import Array
from fieldcraft.kinds.image import near_duplicates
from tests.images import draw_image

SIDE = 32


def to_pixels(images: list[Image.Image]) -> Array:
    return np.stack([np.asarray(image.resize((SIDE, SIDE))) for image in images])


def find_groups(pixels: Array) -> list[list[int]]:
    groups, is_complete = near_duplicates.group_near_duplicates(pixels)
    assert is_complete
    return [group.tolist() for group in groups]


def draw_scene(seed: int) -> Image.Image:
    """Draw an image of many smooth patches."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize((96, 96), Image.Resampling.BICUBIC)


def test_resized_and_recolored_copies_are_found() -> None:
    scenes = [draw_scene(seed) for seed in range(20)]
    brighter = ImageEnhance.Brightness(scenes[3]).enhance(0.8)
    smaller = scenes[3].resize((48, 48)).resize((90, 70))
    paler = ImageEnhance.Contrast(scenes[8]).enhance(0.7)
    groups = find_groups(to_pixels([*scenes, brighter, smaller, paler]))
    assert groups == [[3, 20, 21], [8, 22]]


def test_similar_images_are_no_near_duplicates() -> None:
    assert find_groups(to_pixels([draw_image(seed) for seed in range(60)])) == []
    assert find_groups(to_pixels([draw_scene(seed) for seed in range(200)])) == []


@pytest.mark.parametrize("color", ["black", "white", (90, 90, 90)])
def test_blank_images_are_not_compared(color: str) -> None:
    assert find_groups(to_pixels([Image.new("RGB", (40, 40), color)] * 5)) == []


def test_the_block_size_does_not_change_results(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [draw_scene(seed % 7) for seed in range(30)]
    whole = find_groups(to_pixels(images))
    monkeypatch.setattr(near_duplicates, "BLOCK_IMAGES", 4)
    assert find_groups(to_pixels(images)) == whole
    assert sorted(map(len, whole)) == [4, 4, 4, 4, 4, 5, 5]


def test_zero_and_one_image_have_no_groups() -> None:
    assert find_groups(np.zeros((0, SIDE, SIDE, 3), dtype=np.uint8)) == []
    assert find_groups(to_pixels([draw_scene(0)])) == []


def test_too_many_pairs_give_incomplete_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_duplicates, "BLOCK_IMAGES", 4)
    monkeypatch.setattr(near_duplicates, "MAX_PAIRS", 20)
    groups, whole = near_duplicates.group_near_duplicates(to_pixels([draw_scene(0)] * 30))
    assert len(groups) == 1
    assert not whole


def test_near_hashes_collide_among_many() -> None:
    draw = np.random.default_rng(5)
    count = near_duplicates.MAX_EXHAUSTIVE_IMAGES + 5_000
    hashes = draw.integers(0, 1 << 63, count, dtype=np.uint64)
    copies = [(count - 9, count - 1), (3, count - 20), (17, 18)]
    for (one, other), flipped in zip(copies, ([], [5], [2, 40, 61]), strict=True):
        hashes[other] = hashes[one] ^ np.uint64(sum(1 << bit for bit in flipped))
    result = {
        tuple(pair)
        for pairs in near_duplicates.iter_hash_collisions(hashes)
        for pair in pairs.tolist()
    }
    assert set(copies) <= result
    assert len(result) < 0.1 * count  # others hardly ever meet


def test_the_pairs_of_a_bucket_are_bounded() -> None:
    same = np.full(3_000, 7, dtype=np.uint64)
    pairs = sum(map(len, near_duplicates.iter_hash_collisions(same)))
    assert pairs <= near_duplicates.N_HASH_TABLES * near_duplicates.MAX_BUCKET_IMAGES * len(same)


def test_hashes_of_similar_images_differ_in_few_bits() -> None:
    scenes = to_pixels([draw_scene(seed) for seed in range(40)])
    paler = to_pixels([ImageEnhance.Contrast(draw_scene(seed)).enhance(0.8) for seed in range(40)])
    one, other = (
        near_duplicates.compute_hashes(near_duplicates.compute_coarse_descriptors(pixels)[1])
        for pixels in (scenes, paler)
    )
    differ = np.bitwise_count(one ^ other)
    assert differ.max() <= 4
    apart = np.bitwise_count(one[:, None] ^ one[None])[np.triu_indices(40, 1)]
    assert apart.min() > 8


def test_copies_are_found_by_hashing_in_large_tables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(near_duplicates, "MAX_EXHAUSTIVE_IMAGES", 50)
    scenes = [draw_scene(seed) for seed in range(120)]
    darker = ImageEnhance.Brightness(scenes[118]).enhance(0.8)
    smaller = scenes[5].resize((48, 48)).resize((90, 70))
    assert find_groups(to_pixels([*scenes, darker, smaller])) == [[5, 121], [118, 120]]
