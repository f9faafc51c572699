"""Networks for photos of the library `transformers` as PyTorch modules, and as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.core.errors import DataError
from fieldcraft.fit.finetuning import POOLER_PREFIX, build_backbone_module, load_backbone_module
from fieldcraft.fit.onnx_export import export_module
from fieldcraft.kinds.image.architectures import SMALL_STEM
from fieldcraft.kinds.image.preprocessor_config import PreprocessorConfig

CLS_TOKEN_PARAMETERS = (
    "cls_token",
    "class_embedding",
)  # names of parameters of networks that have one


class PooledImageBackbone(nn.Module):
    """A network whose last layer is pooled into one vector a photo."""

    def __init__(self, body: nn.Module) -> None:
        """Wrap a network of the library `transformers`.

        A pooler that has weights of its own is taken off: most files of pretrained networks have
        none for it, and it would be one of chance.
        """
        super().__init__()
        pooler = getattr(body, POOLER_PREFIX, None)
        if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
            body.pooler = None  # type: ignore[assignment]
        self.body = body
        self.uses_cls_token = any(
            name.endswith(CLS_TOKEN_PARAMETERS) for name, _ in body.named_parameters()
        )

    def forward(self, photos: Tensor) -> Tensor:
        """Vectors of photos, shape (photos, width).

        Args:
            photos: standardised, shape (photos, channels, side, side).
        """
        outputs = self.body(pixel_values=photos)
        pooled: Tensor | None = getattr(outputs, "pooler_output", None)
        if pooled is not None:
            return pooled.flatten(1)
        last_hidden_state: Tensor = outputs.last_hidden_state
        if last_hidden_state.ndim == 4:
            return last_hidden_state.mean((2, 3))
        return last_hidden_state[:, 0] if self.uses_cls_token else last_hidden_state.mean(1)


class PixelInputBackbone(nn.Module):
    """A network that reads squares of pixels as they are stored."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: PooledImageBackbone, preprocessor: PreprocessorConfig) -> None:
        """Wrap a network that wants its photos in some way."""
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(preprocessor.mean)[:, None, None])
        self.register_buffer("spread", torch.tensor(preprocessor.std)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        """Vectors of photos; pixels of shape (photos, side, side, 3), unsigned 8-bit integers."""
        photos = pixels.permute(0, 3, 1, 2).float() / 255
        embeddings: Tensor = self.network((photos - self.mean) / self.std)
        return embeddings


def load_image_backbone(folder: Path) -> PooledImageBackbone:
    """The network in a folder, with 32-bit weights.

    Raises:
        DataError: the folder holds no network for photos that can be loaded.
    """
    return PooledImageBackbone(
        load_backbone_module(folder, lambda why: unusable_image_backbone_error(folder, why))
    )


def build_image_backbone(config: Mapping[str, Any]) -> PooledImageBackbone:
    """A network without learned weights: to be trained, or for those that were learned further."""
    body = build_backbone_module(config, [SMALL_STEM])
    if config.get(SMALL_STEM):
        replace_with_small_stem(body)
    return PooledImageBackbone(body)


def replace_with_small_stem(resnet: Any) -> None:
    """Give a ResNet a stem that leaves small squares as large as they are."""
    stem = resnet.embedder.embedder
    stem.convolution = nn.Conv2d(3, stem.convolution.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.convolution.weight, mode="fan_out", nonlinearity="relu")
    resnet.embedder.pooler = nn.Identity()


def measure_embedding_width(network: nn.Module, side: int) -> int:
    """Numbers of the vector that a network makes of a photo."""
    with torch.no_grad():
        return int(network.eval()(torch.zeros(1, 3, side, side)).shape[1])


def export_image_backbone(folder: Path, preprocessor: PreprocessorConfig) -> bytes:
    """The network in a folder as an ONNX graph from the pixels of one photo to its vector.

    Raises:
        DataError: the folder holds no network for photos that can be used.
    """
    module = PixelInputBackbone(load_image_backbone(folder), preprocessor)
    example = torch.zeros(1, preprocessor.side, preprocessor.side, 3, dtype=torch.uint8)
    try:
        module.eval()(example)  # says more clearly than an export what does not fit
        return export_module(module, [example], ["pixels"], None)
    except (torch.onnx.OnnxExporterError, ValueError, TypeError, RuntimeError) as error:
        reason = f"with photos of {preprocessor.side} pixels: {type(error).__name__}: {error}"
        raise unusable_image_backbone_error(folder, reason) from error


def unusable_image_backbone_error(folder: Path, reason: str) -> DataError:
    """The error for a folder without a network that can be used."""
    return DataError(
        f"the folder {folder.name} holds no network for photos that can be used",
        detail=reason.splitlines()[0][:200],
        hint="give the folder of a network such as ResNet, ConvNeXt, ViT or DINOv2, with "
        "config.json and model.safetensors, and leave size out unless it reads squares of any side",
    )
