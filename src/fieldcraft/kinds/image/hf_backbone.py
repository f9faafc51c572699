"""Image networks of the library `transformers` as PyTorch modules, and as ONNX."""

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

# Names of the parameter of the class token. A network with one of these is pooled by that token.
CLS_TOKEN_PARAMETERS = ("cls_token", "class_embedding")


class PooledImageBackbone(nn.Module):
    """A network whose last layer is pooled into one embedding per photo."""

    def __init__(self, body: nn.Module) -> None:
        """Wrap a network of the library `transformers`.

        A pooler with weights is removed: most pretrained networks are published without these
        weights, so they would be random.
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
        """Embed photos, shape (photos, embedding width).

        Args:
            photos: standardized, shape (photos, channels, side, side).
        """
        outputs = self.body(pixel_values=photos)
        pooled: Tensor | None = getattr(outputs, "pooler_output", None)
        if pooled is not None:
            return pooled.flatten(1)
        last_hidden_state: Tensor = outputs.last_hidden_state
        if last_hidden_state.ndim == 4:  # feature maps of a convolutional network
            return last_hidden_state.mean((2, 3))
        return last_hidden_state[:, 0] if self.uses_cls_token else last_hidden_state.mean(1)


class PixelInputBackbone(nn.Module):
    """A network with its preprocessing, so that it reads pixels."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: PooledImageBackbone, preprocessor: PreprocessorConfig) -> None:
        """Wrap a network with the scaling of its inputs."""
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(preprocessor.mean)[:, None, None])
        self.register_buffer("std", torch.tensor(preprocessor.std)[:, None, None])

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed photos from pixels, shape (photos, side, side, 3), uint8."""
        photos = pixels.permute(0, 3, 1, 2).float() / 255
        embeddings: Tensor = self.network((photos - self.mean) / self.std)
        return embeddings


def load_image_backbone(folder: Path) -> PooledImageBackbone:
    """Load the network in a folder, with float32 weights.

    Raises:
        DataError: the folder has no image network that can be loaded.
    """
    return PooledImageBackbone(
        load_backbone_module(folder, lambda reason: unusable_image_backbone_error(folder, reason))
    )


def build_image_backbone(config: Mapping[str, Any]) -> PooledImageBackbone:
    """Build a network with random weights: to be trained, or to load trained weights into."""
    body = build_backbone_module(config, [SMALL_STEM])
    if config.get(SMALL_STEM):
        replace_with_small_stem(body)
    return PooledImageBackbone(body)


def replace_with_small_stem(resnet: Any) -> None:
    """Replace the stem of a ResNet by one that keeps the resolution of small images.

    The standard stem reduces 224 pixels to 56 before the first block; of 32 it would leave 8. He
    et al. (2016) use such a 3 x 3 stem for CIFAR-10.
    """
    stem = resnet.embedder.embedder
    stem.convolution = nn.Conv2d(3, stem.convolution.out_channels, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(stem.convolution.weight, mode="fan_out", nonlinearity="relu")
    resnet.embedder.pooler = nn.Identity()


def measure_embedding_width(network: nn.Module, side: int) -> int:
    """The width of the embedding of a network, by a forward pass."""
    with torch.no_grad():
        return int(network.eval()(torch.zeros(1, 3, side, side)).shape[1])


def export_image_backbone(folder: Path, preprocessor: PreprocessorConfig) -> bytes:
    """Export the network in a folder as an ONNX graph from the pixels of a photo to its embedding.

    Raises:
        DataError: the folder has no image network that can be used.
    """
    module = PixelInputBackbone(load_image_backbone(folder), preprocessor)
    example = torch.zeros(1, preprocessor.side, preprocessor.side, 3, dtype=torch.uint8)
    try:
        # Run first, since its error messages are clearer than those of the export.
        module.eval()(example)
        return export_module(module, [example], ["pixels"], None)
    except (torch.onnx.OnnxExporterError, ValueError, TypeError, RuntimeError) as error:
        reason = f"with photos of {preprocessor.side} pixels: {type(error).__name__}: {error}"
        raise unusable_image_backbone_error(folder, reason) from error


def unusable_image_backbone_error(folder: Path, reason: str) -> DataError:
    """The error for a folder without a usable image network."""
    return DataError(
        f"the folder {folder.name} has no image network that can be used",
        detail=reason.splitlines()[0][:200],
        hint="give the folder of a network such as ResNet, ConvNeXt, ViT or DINOv2, with "
        "config.json and model.safetensors, and leave image_size out unless it reads any size",
    )
