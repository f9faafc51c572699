"""Photos as vectors from a pretrained network such as a ResNet, a ConvNeXt or a DINOv2."""

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

BATCH_IMAGES = 128  # photos whose pixels are held together


@dataclass(frozen=True)
class PretrainedImageEncoder:
    """A pretrained network: how it wants its photos, and itself as ONNX.

    Attributes:
        preprocessor: how it wants its photos.
        backbone: the network, from pixels to a vector.
        folder: where its weights are, for training them further.
    """

    preprocessor: PreprocessorConfig
    backbone: Backbone
    folder: Path | None = None

    @property
    def config(self) -> dict[str, Any]:
        """What the network is made of, without its weights."""
        assert self.folder is not None, "a packaged network is not trained further"
        config: dict[str, Any] = files.read_json(self.folder / CONFIG_FILE)
        return config

    def embed(self, addresses: Sequence[str | None]) -> Array:
        """The vector of each photo, shape (photos, width); NaN where there is none to be seen."""
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
    """A pretrained network by name; exported once, its vectors kept, as training asks often.

    Args:
        name: a folder, or a name at a hub.
        side: of the squares that it is to read; what its own files say if left out.

    Raises:
        DataError: there is no such network, or it reads no photos.
        MissingExtraError: what runs it is not installed.
    """
    if "/" not in name and not resolve_path(name).is_dir():
        raise DataError(
            f"there is no network {name!r} for photos",
            detail=f"neither a network that is known nor a folder in {resolve_path('').resolve()}",
            hint=f"{did_you_mean(name, IMAGE_NETWORKS_FROM_SCRATCH)}; or give the folder of a pretrained one: ./{name}",
        )
    require_extra("text")  # it brings the library of pretrained networks
    require_extra("train")
    folder = find_backbone_folder(name, {})
    return load_image_encoder_from_folder(folder, weights_stamps(folder), side)


@lru_cache(maxsize=4)
def load_image_encoder_from_folder(
    folder: Path, stamp: FileStamps, side: int | None
) -> PretrainedImageEncoder:
    """The pretrained network in a folder, opened again when its files have another stamp."""
    preprocessor = read_preprocessor_config(folder, side)
    onnx_path = (
        files.cache_folder() / "backbones" / weights_digest(folder) / f"{preprocessor.side}.onnx"
    )
    if not onnx_path.is_file():
        from fieldcraft.kinds.image.hf_backbone import export_image_backbone

        files.atomic_write_bytes(onnx_path, export_image_backbone(folder, preprocessor))
    backbone = load_backbone(onnx_path)
    backbone.caches_embeddings = True
    return PretrainedImageEncoder(preprocessor, backbone, folder)
