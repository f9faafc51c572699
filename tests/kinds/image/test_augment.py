from __future__ import annotations

import base64
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from fieldcraft.core.types import Array
from fieldcraft.fit.mixup import MixupPlan
from fieldcraft.kinds.image.augment import (
    augment_batch,
    cutmix,
    cutout,
    jitter_brightness_contrast,
    random_flip,
    random_shift,
    render_augmented_images,
)

PHOTOS = torch.arange(16 * 3 * 16 * 16).float().view(16, 3, 16, 16) / 1_000


def test_augmented_images_change_and_keep_their_shape() -> None:
    torch.manual_seed(0)
    for mirror in (True, False):
        result = augment_batch(PHOTOS, mirror)
        assert result.shape == PHOTOS.shape
        assert not torch.equal(result, PHOTOS)


def test_images_are_shifted_by_an_eighth_at_most() -> None:
    torch.manual_seed(0)
    result = random_shift(PHOTOS)
    inner = result[:, :, 4:12, 4:12]
    for number in range(16):
        places = [
            (down, across)
            for down in range(-2, 3)
            for across in range(-2, 3)
            if torch.equal(
                inner[number], PHOTOS[number, :, 4 + down : 12 + down, 4 + across : 12 + across]
            )
        ]
        assert len(places) == 1


def test_about_half_of_the_images_are_flipped() -> None:
    torch.manual_seed(0)
    photos = PHOTOS.repeat(20, 1, 1, 1)
    result = random_flip(photos)
    same = (result == photos).flatten(1).all(1)
    swapped = (result == photos.flip(3)).flatten(1).all(1)
    assert bool((same ^ swapped).all())
    assert 0.4 < float(swapped.float().mean()) < 0.6


def test_brightness_and_contrast_change_the_whole_image() -> None:
    torch.manual_seed(0)
    result = jitter_brightness_contrast(PHOTOS)
    slope = (result[:, 0, 0, 1] - result[:, 0, 0, 0]) / (PHOTOS[:, 0, 0, 1] - PHOTOS[:, 0, 0, 0])
    assert 0.4 < float(slope.min()) < 1 < float(slope.max()) < 1.6


def test_the_same_seed_gives_the_same_images() -> None:
    torch.manual_seed(3)
    first = augment_batch(PHOTOS, True)
    torch.manual_seed(3)
    assert torch.equal(augment_batch(PHOTOS, True), first)


def test_cutout_hides_a_square_of_each_image() -> None:
    torch.manual_seed(0)
    result = cutout(torch.ones(400, 3, 16, 16))
    covered = (result == 0).all(1).flatten(1).sum(1)
    assert int(covered.max()) == 16
    assert int(covered.min()) >= 4  # a quarter of it in a corner
    assert torch.equal((result == 0).any(1), (result == 0).all(1))


class InvertingNet(nn.Module):
    """A net of two columns that inverts images."""

    augment = True
    mean, std, n_columns = torch.full((3, 1, 1), 0.5), torch.full((3, 1, 1), 0.25), 2

    def normalize_pixels(self, photos: Tensor) -> Tensor:
        x: Tensor = photos.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
        return (x - self.mean) / self.std

    def apply_augmentation(self, x: Tensor) -> Tensor:
        return -x


def decode_data_url(address: str) -> Array:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


def test_augmented_images_are_rendered_by_column() -> None:
    photos = np.zeros((3, 2, 20, 20, 3), dtype=np.uint8)
    photos[:, 1] = 200
    photos[2, 0] = (255, 255, 0)
    network: Any = SimpleNamespace(nets={"image": InvertingNet()})
    first, second = render_augmented_images(network, {"image": photos})
    assert [decode_data_url(a).shape for a in first] == [(96, 96, 3)] * 3
    assert [int(decode_data_url(a).mean()) for a in first[:2]] == [255, 255]
    assert all(abs(decode_data_url(a).mean() - 55) < 2 for a in second)
    assert np.abs(decode_data_url(first[2]).mean((0, 1)) - (0, 0, 255)).max() < 5


def test_without_augmentation_no_images_are_rendered() -> None:
    for nets in ({}, {"image": nn.Identity()}):
        network: Any = SimpleNamespace(nets=nets)
        assert render_augmented_images(network, {"image": np.zeros((1, 8), dtype=np.float32)}) == []


def test_cutmix_pastes_a_square_of_the_partner() -> None:
    torch.manual_seed(0)
    photos = torch.arange(200.0)[:, None, None, None, None].expand(200, 2, 3, 32, 32)
    mixing = MixupPlan(torch.rand(200), torch.arange(200).roll(1), is_cutmix=True)
    result = cutmix(photos, mixing)
    own = result == photos
    assert torch.equal(result[~own], photos[mixing.partner][~own])
    assert torch.equal(own[:, :1, :1].expand_as(own), own)  # the same in all columns and colors
    for mask, share in zip(own[:, 0, 0], mixing.own_fraction, strict=True):
        assert abs(float(mask.float().mean()) - float(share)) < 0.035
        down, across = (~mask).any(1), (~mask).any(0)
        assert torch.equal(~mask, down[:, None] & across[None, :])
        assert int(down.sum()) == int(across.sum())
    whole = MixupPlan(torch.ones(200), mixing.partner, is_cutmix=True)
    assert torch.equal(cutmix(photos, whole), photos)
