from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.core.types import Array
from fieldcraft.kinds.image.flip_invariance import is_flip_invariant

ROWS = 200


def draw_photos(chance: np.random.Generator) -> Array:
    return chance.integers(0, 60, (ROWS, 32, 32, 3)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(3))
def test_classes_without_left_and_right_allow_flips(seed: int) -> None:
    chance = np.random.default_rng(seed)
    result, y = draw_photos(chance), chance.integers(0, 2, ROWS)
    for row, label in enumerate(y):
        result[row, 20 * label : 20 * label + 8, chance.integers(0, 20) :][:, :9] = 220
    assert is_flip_invariant(result, np.eye(2)[y])


@pytest.mark.parametrize("seed", range(3))
def test_classes_of_left_and_right_do_not_allow_flips(seed: int) -> None:
    chance = np.random.default_rng(seed)
    result, y = draw_photos(chance), chance.integers(0, 2, ROWS)
    for row, label in enumerate(y):
        result[row, chance.integers(0, 20) :, 20 * label : 20 * label + 8][:9] = 220
    assert not is_flip_invariant(result, np.eye(2)[y])
    assert not is_flip_invariant(result, 100.0 + y[:, None])


def test_without_evidence_images_are_not_flipped() -> None:
    chance = np.random.default_rng(0)
    result = draw_photos(chance)
    assert not is_flip_invariant(result, chance.normal(size=(ROWS, 1)))
    assert not is_flip_invariant(result, np.ones((ROWS, 1)))
    assert not is_flip_invariant(result[:10], chance.normal(size=(10, 1)))
    assert not is_flip_invariant(
        np.zeros((ROWS, 8, 8, 3), dtype=np.uint8), chance.normal(size=(ROWS, 1))
    )
