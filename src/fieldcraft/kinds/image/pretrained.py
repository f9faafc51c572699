"""Embeddings of photos from a pretrained network such as a ResNet, a ConvNeXt or DINOv2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fieldcraft.bundle.onnx_backbone import Backbone, load_backbone
from fieldcraft.core import files
from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.core.extras import require_extra
from fieldcraft.core.types import Array
from fieldcraft.data.pretrained_weights import (
    CONFIG_FILE,
    FileStamps,
    find_backbone_folder,
    resolve_path,
    weights_digest,
    weights_stamps,
)
from fieldcraft.kinds.image.architectures import IMAGE_NETWORKS_FROM_SCRATCH
from fieldcraft.kinds.image.pixel_cache import get_pixel_cache
from fieldcraft.kinds.image.preprocessor_config import PreprocessorConfig, read_preprocessor_config

BATCH_IMAGES = 128  # photos whose pixels are in memory at once


@dataclass(frozen=True)
class PretrainedImageEncoder:
    """A pretrained image network with its preprocessing.

    Attributes:
        preprocessor: size and scale of the photos that it reads.
        backbone: the network as ONNX, from pixels to an embedding.
        folder: the folder of its weights, for fine-tuning; None in a bundle.
    """

    preprocessor: PreprocessorConfig
    backbone: Backbone
    folder: Path | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the network, without its weights."""
        assert self.folder is not None, "a packaged network is not trained further"
        config: dict[str, Any] = files.read_json(self.folder / CONFIG_FILE)
        return config

    def embed(self, addresses: Sequence[str | None]) -> Array:
        """Embed photos, shape (photos, embedding width); NaN where one is missing or unreadable."""
        embeddings = np.full(
            (len(addresses), self.backbone.embedding_size), np.nan, dtype=np.float32
        )
        cache, fill_color = get_pixel_cache(self.preprocessor.side), np.zeros(3, dtype=np.uint8)
        addressed = [(position, address) for position, address in enumerate(addresses) if address]
        for start in range(0, len(addressed), BATCH_IMAGES):
            batch = addressed[start : start + BATCH_IMAGES]
            broken_flags = cache.find_broken([address for _, address in batch])
            readable = [
                item for item, is_broken in zip(batch, broken_flags, strict=True) if not is_broken
            ]
            pixels = cache.get_pixels([address for _, address in readable], fill_color)
            embeddings[[position for position, _ in readable]] = self.backbone.embed(list(pixels))
        return embeddings


def load_image_encoder(name: str, side: int | None = None) -> PretrainedImageEncoder:
    """Load a pretrained network by name.

    It is exported to ONNX once, and its embeddings are cached, since every fold needs them.

    Args:
        name: a folder, or a name on the Hugging Face Hub.
        side: side of the square images; by default that in the files of the network.

    Raises:
        DataError: there is no such network, or it does not read photos.
        MissingExtraError: an optional dependency is not installed.
    """
    if "/" not in name and not resolve_path(name).is_dir():
        suggestion = did_you_mean(name, IMAGE_NETWORKS_FROM_SCRATCH)
        raise DataError(
            f"there is no image network {name!r}",
            detail=f"neither a known network nor a folder in {resolve_path('').resolve()}",
            hint=f"{suggestion}; or give the folder of a pretrained network: ./{name}",
        )
    require_extra("text")  # for the library `transformers`
    require_extra("train")
    folder = find_backbone_folder(name, {})
    return load_image_encoder_from_folder(folder, weights_stamps(folder), side)


@lru_cache(maxsize=4)
def load_image_encoder_from_folder(
    folder: Path, stamp: FileStamps, side: int | None
) -> PretrainedImageEncoder:
    """Load the network in a folder; `stamp` changes with its files and invalidates the cache."""
    preprocessor = read_preprocessor_config(folder, side)
    onnx_path = (
        files.cache_folder() / "backbones" / weights_digest(folder) / f"{preprocessor.side}.onnx"
    )
    # The path contains the digest of the weights, so an existing file is the export of these
    # weights. It is written atomically, so a crash leaves no incomplete file.
    if not onnx_path.is_file():
        from fieldcraft.kinds.image.hf_backbone import export_image_backbone

        files.atomic_write_bytes(onnx_path, export_image_backbone(folder, preprocessor))
    backbone = load_backbone(onnx_path)
    backbone.caches_embeddings = True
    return PretrainedImageEncoder(preprocessor, backbone, folder)
