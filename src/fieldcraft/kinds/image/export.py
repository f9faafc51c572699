"""Networks for photos of the library `transformers` as PyTorch modules, and as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.core.errors import DataError
from fieldcraft.fit.export import graph_of
from fieldcraft.fit.pretrained import POOLER, build_body, load_body
from fieldcraft.kinds.image.scratch import SMALL_STEM
from fieldcraft.kinds.image.wanted import Wanted

FIRST_TOKENS = ("cls_token", "class_embedding")  # names of parameters of networks that have one


class Vector(nn.Module):
    """A network whose last layer is pooled into one vector a photo."""

    def __init__(self, body: nn.Module) -> None:
        """Wrap a network of the library `transformers`.

        A pooler that has weights of its own is taken off: most files of pretrained networks have
        none for it, and it would be one of chance.
        """
        super().__init__()
        own = getattr(body, POOLER, None)
        if isinstance(own, nn.Module) and any(True for _ in own.parameters()):
            body.pooler = None  # type: ignore[assignment]
        self.body = body
        self.first = any(name.endswith(FIRST_TOKENS) for name, _ in body.named_parameters())

    def forward(self, photos: Tensor) -> Tensor:
        """Vectors of photos, shape (photos, width).

        Args:
            photos: standardised, shape (photos, channels, side, side).
        """
        found = self.body(pixel_values=photos)
        pooled: Tensor | None = getattr(found, "pooler_output", None)
        if pooled is not None:
            return pooled.flatten(1)
        last: Tensor = found.last_hidden_state
        if last.ndim == 4:
            return last.mean((2, 3))
        return last[:, 0] if self.first else last.mean(1)


class FromPixels(nn.Module):
    """A network that reads squares of pixels as they are stored."""

    mean: Tensor
    spread: Tensor

    def __init__(self, network: Vector, wanted: Wanted) -> None:
        """Wrap a network that wants its photos in some way."""
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(wanted.mean)[:, None, None])
        self.register_buffer("spread", torch.tensor(wanted.spread)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        """Vectors of photos; pixels of shape (photos, side, side, 3), unsigned 8-bit integers."""
        photos = pixels.permute(0, 3, 1, 2).float() / 255
        found: Tensor = self.network((photos - self.mean) / self.spread)
        return found


def load_network(folder: Path) -> Vector:
    """The network in a folder, with 32-bit weights.

    Raises:
        DataError: the folder holds no network for photos that can be loaded.
    """
    return Vector(load_body(folder, lambda why: unusable(folder, why)))


def build_network(config: Mapping[str, Any]) -> Vector:
    """A network without learned weights: to be trained, or for those that were learned further."""
    body = build_body(config, [SMALL_STEM])
    if config.get(SMALL_STEM):
        keep_small(body)
    return Vector(body)


def keep_small(resnet: Any) -> None:
    """Give a ResNet a stem that leaves small squares as large as they are."""
    stem = resnet.embedder.embedder
    stem.convolution = nn.Conv2d(3, stem.convolution.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.convolution.weight, mode="fan_out", nonlinearity="relu")
    resnet.embedder.pooler = nn.Identity()


def width_of(network: nn.Module, side: int) -> int:
    """Numbers of the vector that a network makes of a photo."""
    with torch.no_grad():
        return int(network.eval()(torch.zeros(1, 3, side, side)).shape[1])


def export_network(folder: Path, wanted: Wanted) -> bytes:
    """The network in a folder as an ONNX graph from the pixels of one photo to its vector.

    Raises:
        DataError: the folder holds no network for photos that can be used.
    """
    module = FromPixels(load_network(folder), wanted)
    example = torch.zeros(1, wanted.side, wanted.side, 3, dtype=torch.uint8)
    try:
        module.eval()(example)  # says more clearly than an export what does not fit
        return graph_of(module, [example], ["pixels"], None)
    except (torch.onnx.OnnxExporterError, ValueError, TypeError, RuntimeError) as error:
        why = f"with photos of {wanted.side} pixels: {type(error).__name__}: {error}"
        raise unusable(folder, why) from error


def unusable(folder: Path, why: str) -> DataError:
    """The error for a folder without a network that can be used."""
    return DataError(
        f"the folder {folder.name} holds no network for photos that can be used",
        seen=why.splitlines()[0][:200],
        way_out="give the folder of a network such as ResNet, ConvNeXt, ViT or DINOv2, with "
        "config.json and model.safetensors, and leave size out unless it reads squares of any side",
    )
