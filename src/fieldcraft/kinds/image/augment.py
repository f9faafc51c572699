"""Photos as they might have been taken as well: moved, mirrored, in other light, half hidden."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from fieldcraft.contracts import Array, Tensors

if TYPE_CHECKING:
    from fieldcraft.fit.mixing import Mixing
    from fieldcraft.fit.network import FusedNetwork

INPUT = "image"
GROUPS = 8  # of a batch that are moved alike: one slice each costs next to nothing
FARTHEST = 8  # an eighth of the side
HIDDEN = 4  # a quarter of the side
LIGHT = 0.15  # spread of brightness and contrast, in spreads of the training photos
DRAWN = 96  # pixels a side of a photo that is shown, at least


def augmented(photos: Tensor, mirror: bool) -> Tensor:
    """A batch of photos, each changed in a way that leaves what it shows.

    Args:
        photos: shape (photos, channels, side, side), standardised.
        mirror: whether left and right may be swapped.
    """
    moved = shifted(photos)
    if mirror:
        moved = mirrored(moved)
    return hidden(relit(moved))


def shifted(photos: Tensor) -> Tensor:
    """Photos moved by up to an eighth of their side, their edges mirrored."""
    side = photos.shape[-1]
    most = max(side // FARTHEST, 1)
    wider = functional.pad(photos, (most,) * 4, mode="reflect")
    parts = []
    for part in wider.chunk(GROUPS):
        down, across = torch.randint(0, 2 * most + 1, (2,)).tolist()
        parts.append(part[:, :, down : down + side, across : across + side])
    return torch.cat(parts)


def mirrored(photos: Tensor) -> Tensor:
    """Photos of which every other one, by chance, has left and right swapped."""
    chosen = torch.rand(len(photos), device=photos.device) < 0.5
    return torch.where(chosen[:, None, None, None], photos.flip(3), photos)


def relit(photos: Tensor) -> Tensor:
    """Photos of a little more or less contrast and brightness."""
    contrast, brightness = LIGHT * torch.randn(2, len(photos), 1, 1, 1, device=photos.device)
    changed: Tensor = photos * (1 + contrast) + brightness
    return changed


def hidden(photos: Tensor) -> Tensor:
    """Photos of which a square of a quarter of the side is covered with the mean colour.

    So that a net does not hang on one detail (cutout; DeVries & Taylor, 2017). A square may reach
    over the edge.
    """
    side = photos.shape[-1]
    size = max(side // HIDDEN, 1)
    places = torch.randint(
        1 - size // 2, side - size // 2, (2, len(photos), 1), device=photos.device
    )
    along = torch.arange(side, device=photos.device)
    down, across = ((along >= start) & (along < start + size) for start in places)
    return photos.masked_fill((down[:, :, None] & across[:, None, :])[:, None], 0.0)


def patched(photos: Tensor, mixing: Mixing) -> Tensor:
    """Photos of which a square shows what the partner's photo shows there, as large as its share.

    Args:
        photos: shape (rows, columns, channels, side, side).
        mixing: with which row each row is mixed.
    """
    side = photos.shape[-1]
    size = (side * (1 - mixing.share).sqrt()).round()
    places = (torch.rand(2, len(size), device=size.device) * (side + 1 - size)).floor()
    along = torch.arange(side, device=photos.device)
    down, across = (
        (along >= start[:, None]) & (along < (start + size)[:, None]) for start in places
    )
    square = (down[:, :, None] & across[:, None, :])[:, None, None]
    return torch.where(square, photos[mixing.partner], photos)


@torch.no_grad()
def drawn(network: FusedNetwork, rows: Tensors) -> list[list[str]]:
    """Of each column the photos of rows as training changes them, small JPEGs as addresses.

    Args:
        network: of which one net may read photos.
        rows: encoded; a row that stands there twice is changed in two ways.

    Returns:
        Nothing if photos are not read as pixels, or not changed.
    """
    net: Any = dict(network.nets.items()).get(INPUT)
    if not getattr(net, "augment", None):
        return []
    x = net.changed(net.standardised(torch.as_tensor(rows[INPUT])))
    pixels = (255 * (x * net.spread + net.mean)).clamp(0, 255).byte().permute(0, 2, 3, 1)
    found = [pictured(square) for square in pixels.numpy()]
    return [found[column :: net.columns] for column in range(net.columns)]


def pictured(square: Array) -> str:
    """A square of pixels as a small JPEG, a ``data:`` address."""
    image = Image.fromarray(square)
    side = max(DRAWN, image.width)
    stream = io.BytesIO()
    image.resize((side, side), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=85)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
