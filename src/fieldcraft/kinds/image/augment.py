"""The default augmentation of photos: shift, flip, brightness and contrast, cutout; CutMix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fieldcraft.contracts import Tensors
from fieldcraft.core.types import Array
from fieldcraft.kinds.image.decode import encode_jpeg_data_url

if TYPE_CHECKING:
    from fieldcraft.fit.mixup import MixupPlan
    from fieldcraft.fit.network import FusedNetwork

INPUT_NAME = "image"
N_SHIFT_GROUPS = 8  # one shift per group of a batch: slices are much faster than a gather
MAX_SHIFT_DIVISOR = 8  # shifts by up to an eighth of the side
CUTOUT_SIDE_DIVISOR = 4  # squares of a quarter of the side
JITTER_STD = 0.15  # of brightness and contrast, in standard deviations of the training photos
MIN_EXAMPLE_SIDE_PIXELS = 96  # smaller examples are enlarged for the report


def augment_batch(photos: Tensor, allow_flip: bool) -> Tensor:
    """Augment a batch of photos without changing what they show.

    Args:
        photos: shape (photos, channels, side, side), standardized.
        allow_flip: whether photos may be flipped horizontally.
    """
    moved = random_shift(photos)
    if allow_flip:
        moved = random_flip(moved)
    return cutout(jitter_brightness_contrast(moved))


def random_shift(photos: Tensor) -> Tensor:
    """Shift photos by up to an eighth of their side, with reflected borders."""
    side = photos.shape[-1]
    max_shift = max(side // MAX_SHIFT_DIVISOR, 1)
    padded = functional.pad(photos, (max_shift,) * 4, mode="reflect")
    parts = []
    for part in padded.chunk(N_SHIFT_GROUPS):
        top, left = torch.randint(0, 2 * max_shift + 1, (2,)).tolist()
        parts.append(part[:, :, top : top + side, left : left + side])
    return torch.cat(parts)


def random_flip(photos: Tensor) -> Tensor:
    """Flip each photo horizontally with probability 1/2."""
    is_flipped = torch.rand(len(photos), device=photos.device) < 0.5
    return torch.where(is_flipped[:, None, None, None], photos.flip(3), photos)


def jitter_brightness_contrast(photos: Tensor) -> Tensor:
    """Change brightness and contrast a little."""
    contrast, brightness = JITTER_STD * torch.randn(2, len(photos), 1, 1, 1, device=photos.device)
    jittered: Tensor = photos * (1 + contrast) + brightness
    return jittered


def cutout(photos: Tensor) -> Tensor:
    """Cover a square of each photo, a quarter of its side, with the mean color.

    DeVries & Taylor, *Improved Regularization of CNNs with Cutout*, 2017: the network must not
    rely on a single detail. Squares may extend beyond the border.
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
    """Replace a square of each photo by that of its partner (Yun et al., *CutMix*, ICCV 2019).

    Args:
        photos: shape (rows, columns, channels, side, side).
        mixup: partner and own fraction of each row.
    """
    side = photos.shape[-1]
    # The area of the square is the fraction of the partner in the loss, so its side is the root.
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
    """Augmented photos of each column, as small JPEG data URLs.

    Args:
        network: a network that may have a net for images.
        rows: encoded rows; a row that is repeated is augmented in several ways.

    Returns:
        No columns if the network reads embeddings, or without augmentation.
    """
    net: Any = dict(network.nets.items()).get(INPUT_NAME)
    if not getattr(net, "augment", None):
        return []
    x = net.apply_augmentation(net.normalize_pixels(torch.as_tensor(rows[INPUT_NAME])))
    pixels = (255 * (x * net.std + net.mean)).clamp(0, 255).byte().permute(0, 2, 3, 1)
    data_urls = [render_example(image_pixels) for image_pixels in pixels.numpy()]
    # Photos are in the order of the rows, all columns of a row together.
    return [data_urls[column :: net.n_columns] for column in range(net.n_columns)]


def render_example(pixels: Array) -> str:
    """Render a square of pixels as a JPEG data URL, at least 96 pixels wide."""
    image = Image.fromarray(pixels)
    side = max(MIN_EXAMPLE_SIDE_PIXELS, image.width)
    return encode_jpeg_data_url(image.resize((side, side), Image.Resampling.BICUBIC))
