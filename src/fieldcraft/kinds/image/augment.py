"""Photos as they might have been taken as well: moved, mirrored, in other light, half hidden."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fieldcraft.contracts import Tensors
from fieldcraft.core.types import Array

if TYPE_CHECKING:
    from fieldcraft.fit.mixup import MixupPlan
    from fieldcraft.fit.network import FusedNetwork

INPUT_NAME = "image"
N_SHIFT_GROUPS = 8  # of a batch that are moved alike: one slice each costs next to nothing
MAX_SHIFT_DIVISOR = 8  # an eighth of the side
CUTOUT_SIDE_DIVISOR = 4  # a quarter of the side
JITTER_STD = 0.15  # spread of brightness and contrast, in spreads of the training photos
MIN_EXAMPLE_SIDE_PIXELS = 96  # pixels a side of a photo that is shown, at least


def augment_batch(photos: Tensor, allow_flip: bool) -> Tensor:
    """A batch of photos, each changed in a way that leaves what it shows.

    Args:
        photos: shape (photos, channels, side, side), standardised.
        allow_flip: whether left and right may be swapped.
    """
    moved = random_shift(photos)
    if allow_flip:
        moved = random_flip(moved)
    return cutout(jitter_brightness_contrast(moved))


def random_shift(photos: Tensor) -> Tensor:
    """Photos moved by up to an eighth of their side, their edges mirrored."""
    side = photos.shape[-1]
    max_shift = max(side // MAX_SHIFT_DIVISOR, 1)
    padded = functional.pad(photos, (max_shift,) * 4, mode="reflect")
    parts = []
    for part in padded.chunk(N_SHIFT_GROUPS):
        top, left = torch.randint(0, 2 * max_shift + 1, (2,)).tolist()
        parts.append(part[:, :, top : top + side, left : left + side])
    return torch.cat(parts)


def random_flip(photos: Tensor) -> Tensor:
    """Photos of which every other one, by chance, has left and right swapped."""
    is_flipped = torch.rand(len(photos), device=photos.device) < 0.5
    return torch.where(is_flipped[:, None, None, None], photos.flip(3), photos)


def jitter_brightness_contrast(photos: Tensor) -> Tensor:
    """Photos of a little more or less contrast and brightness."""
    contrast, brightness = JITTER_STD * torch.randn(2, len(photos), 1, 1, 1, device=photos.device)
    jittered: Tensor = photos * (1 + contrast) + brightness
    return jittered


def cutout(photos: Tensor) -> Tensor:
    """Photos of which a square of a quarter of the side is covered with the mean colour.

    So that a net does not hang on one detail (cutout; DeVries & Taylor, 2017). A square may reach
    over the edge.
    """
    side = photos.shape[-1]
    size = max(side // CUTOUT_SIDE_DIVISOR, 1)
    corners = torch.randint(
        1 - size // 2, side - size // 2, (2, len(photos), 1), device=photos.device
    )
    positions = torch.arange(side, device=photos.device)
    row_mask, column_mask = ((positions >= start) & (positions < start + size) for start in corners)
    return photos.masked_fill((row_mask[:, :, None] & column_mask[:, None, :])[:, None], 0.0)


def cutmix(photos: Tensor, mixup: MixupPlan) -> Tensor:
    """Photos of which a square shows what the partner's photo shows there, as large as its share.

    Args:
        photos: shape (rows, columns, channels, side, side).
        mixup: with which row each row is mixed.
    """
    side = photos.shape[-1]
    size = (side * (1 - mixup.own_fraction).sqrt()).round()
    corners = (torch.rand(2, len(size), device=size.device) * (side + 1 - size)).floor()
    positions = torch.arange(side, device=photos.device)
    row_mask, column_mask = (
        (positions >= start[:, None]) & (positions < (start + size)[:, None]) for start in corners
    )
    square = (row_mask[:, :, None] & column_mask[:, None, :])[:, None, None]
    return torch.where(square, photos[mixup.partner], photos)


@torch.no_grad()
def render_augmented_images(network: FusedNetwork, rows: Tensors) -> list[list[str]]:
    """Of each column the photos of rows as training changes them, small JPEGs as addresses.

    Args:
        network: of which one net may read photos.
        rows: encoded; a row that stands there twice is changed in two ways.

    Returns:
        Nothing if photos are not read as pixels, or not changed.
    """
    net: Any = dict(network.nets.items()).get(INPUT_NAME)
    if not getattr(net, "augment", None):
        return []
    x = net.changed(net.standardised(torch.as_tensor(rows[INPUT_NAME])))
    pixels = (255 * (x * net.spread + net.mean)).clamp(0, 255).byte().permute(0, 2, 3, 1)
    data_urls = [render_jpeg_data_url(image_pixels) for image_pixels in pixels.numpy()]
    return [data_urls[column :: net.columns] for column in range(net.columns)]


def render_jpeg_data_url(pixels: Array) -> str:
    """A square of pixels as a small JPEG, a ``data:`` address."""
    image = Image.fromarray(pixels)
    side = max(MIN_EXAMPLE_SIDE_PIXELS, image.width)
    stream = io.BytesIO()
    image.resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
