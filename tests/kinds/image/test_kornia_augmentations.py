"""Only the configured augmentations are applied."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.core import extras
from fieldcraft.core.errors import MissingExtraError
from fieldcraft.data.schema import Column, Schema
from fieldcraft.kinds.image.kornia_augmentations import (
    PIXEL_VALUE_AUGMENTATIONS,
    apply_augmentations,
    build_augmentation,
)
from fieldcraft.kinds.image.options import AUGMENTATIONS
from tests.encoding import fit_and_encode
from tests.images import save_image

MEAN, SPREAD = torch.full((3, 1, 1), 0.4), torch.full((3, 1, 1), 0.3)
SIDE = 24


@pytest.fixture
def photos() -> Tensor:
    """Standardized images with a brightness gradient from corner to corner, in three colors."""
    torch.manual_seed(0)
    rise = torch.linspace(0.1, 0.6, SIDE)
    pixels = 0.5 * (rise[:, None] * 0.8 + rise[None, :])[None, None].repeat(32, 3, 1, 1)
    pixels = pixels * torch.tensor([0.6, 0.8, 1.0])[:, None, None] + 0.02 * torch.rand(32, 3, 1, 1)
    result: Tensor = (pixels - MEAN) / SPREAD
    return result


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations_change_images_repeatably_and_keep_the_shape(
    name: str, photos: Tensor
) -> None:
    torch.manual_seed(3)
    result = apply_augmentations(photos, (name,), MEAN, SPREAD)
    assert result.shape == photos.shape
    assert result.isfinite().all()
    same = (result - photos).abs().amax((1, 2, 3)) < 1e-4
    assert float(same.float().mean()) < 0.8
    torch.manual_seed(3)
    assert torch.equal(apply_augmentations(photos, (name,), MEAN, SPREAD), result)


@pytest.mark.parametrize("name", PIXEL_VALUE_AUGMENTATIONS)
def test_augmented_pixels_stay_in_range(name: str, photos: Tensor) -> None:
    pixels = apply_augmentations(photos, (name,), MEAN, SPREAD) * SPREAD + MEAN
    assert float(pixels.min()) > -1e-5
    assert float(pixels.max()) < 1 + 1e-5


def test_brightness_is_monotone_and_color_keeps_the_strongest_channel(
    photos: Tensor,
) -> None:
    jittered = apply_augmentations(photos, ("brightness_contrast",), MEAN, SPREAD)
    assert (jittered.diff(dim=3) >= -1e-5).all()
    colored, plain = (
        x * SPREAD + MEAN for x in (apply_augmentations(photos, ("color",), MEAN, SPREAD), photos)
    )
    assert float((colored - plain).abs().amax()) > 0.02
    torch.testing.assert_close(colored.amax(1), plain.amax(1), atol=1e-3, rtol=0)


def test_some_images_are_flipped_as_a_whole(photos: Tensor) -> None:
    for name, axis in (("horizontal_flip", 3), ("vertical_flip", 2)):
        result = apply_augmentations(photos, (name,), MEAN, SPREAD)
        same = (result == photos).flatten(1).all(1)
        turned = (result == photos.flip(axis)).flatten(1).all(1)
        assert bool((same ^ turned).all())
        assert 4 < int(turned.sum()) < 28


def test_crops_are_parts_and_rotations_are_filled_with_the_mean(
    photos: Tensor,
) -> None:
    zoomed = apply_augmentations(photos, ("random_resized_crop",), MEAN, SPREAD)
    low, high = photos.amin((2, 3)), photos.amax((2, 3))
    assert (zoomed.amin((2, 3)) >= low - 1e-3).all()
    assert ((zoomed.amax((2, 3)) - zoomed.amin((2, 3))) < 0.99 * (high - low)).float().mean() > 0.7
    turned = apply_augmentations(photos, ("rotate",), MEAN, SPREAD)
    corners = turned[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners.abs() < 0.3).any((1, 2)).float().mean() > 0.5
    middle = slice(SIDE // 2 - 2, SIDE // 2 + 2)
    off = (turned - photos)[:, :, middle, middle].abs().max()
    assert float(off) < 0.2


def test_augmentations_run_in_single_precision(photos: Tensor) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        result = apply_augmentations(photos, AUGMENTATIONS, MEAN, SPREAD)
    assert result.dtype == torch.float32


def test_a_missing_library_is_an_error_with_the_install_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "kornia" else object())
    build_augmentation.cache_clear()
    with pytest.raises(MissingExtraError, match="not installed") as error:
        build_augmentation("random_resized_crop", SIDE)
    assert error.value.detail == "missing: kornia"
    assert "fieldcraft[image]" in error.value.hint
    assert build_augmentation("horizontal_flip", SIDE) is not None


def build_net(folder: Any, options: dict[str, Any]) -> Any:
    frame = pl.DataFrame({"a": [save_image(folder / f"{i}.png", i) for i in range(8)]})
    encoders = EncoderSet(Schema((Column("a", "image", {"image_size": 16, **options}),)))
    fit_and_encode(encoders, frame, np.zeros((8, 1)))
    return encoders.build_nets()["image"].train()


@pytest.mark.parametrize(
    ("options", "augment", "use_flip"),
    [
        ({"horizontal_flip": True}, True, True),
        ({"horizontal_flip": False}, True, False),
        ({"horizontal_flip": True, "augment": False}, False, False),
        (
            {"horizontal_flip": True, "augment": ["horizontal_flip", "random_resized_crop"]},
            ("horizontal_flip", "random_resized_crop"),
            True,
        ),
        (
            {"horizontal_flip": True, "augment": ["random_resized_crop"]},
            ("random_resized_crop",),
            False,
        ),
        (
            {
                "horizontal_flip": False,
                "augment": ["horizontal_flip", "vertical_flip", "random_resized_crop"],
            },
            ("random_resized_crop",),
            False,
        ),
        ({"horizontal_flip": False, "augment": ["horizontal_flip"]}, (), False),
    ],
)
def test_images_are_flipped_only_if_allowed_and_configured(
    options: dict[str, Any], augment: Any, use_flip: bool, tmp_path: Any
) -> None:
    net = build_net(tmp_path, options)
    assert (net.augment, net.use_flip) == (augment, use_flip)
    x = torch.randn(8, 3, 16, 16)
    assert torch.equal(net.apply_augmentation(x), x) == (not augment)


def test_the_default_augmentation_does_not_import_kornia(tmp_path: Any) -> None:
    before = {name for name in sys.modules if name.startswith("kornia")}
    build_net(tmp_path, {}).apply_augmentation(torch.randn(8, 3, 16, 16))
    assert {name for name in sys.modules if name.startswith("kornia")} == before
