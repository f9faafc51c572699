"""Photos as vectors from a pretrained network such as a ResNet, a ConvNeXt or a DINOv2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fieldcraft.bundle.backbone import Backbone, load_backbone
from fieldcraft.contracts import Array
from fieldcraft.core import files
from fieldcraft.core.errors import DataError, near
from fieldcraft.core.optional import needs
from fieldcraft.data.weights import (
    CONFIG,
    Stamp,
    place_of,
    stamp_of,
    weights_digest,
    weights_folder,
)
from fieldcraft.kinds.image.scratch import SCRATCH
from fieldcraft.kinds.image.store import store_for
from fieldcraft.kinds.image.wanted import Wanted, wanted_by

AT_ONCE = 128  # photos whose pixels are held together


@dataclass(frozen=True)
class Pretrained:
    """A pretrained network: how it wants its photos, and itself as ONNX.

    Attributes:
        wanted: how it wants its photos.
        backbone: the network, from pixels to a vector.
        folder: where its weights are, for training them further.
    """

    wanted: Wanted
    backbone: Backbone
    folder: Path | None = None

    @property
    def config(self) -> dict[str, Any]:
        """What the network is made of, without its weights."""
        assert self.folder is not None, "a packaged network is not trained further"
        found: dict[str, Any] = files.read_json(self.folder / CONFIG)
        return found

    def vectors(self, addresses: Sequence[str | None]) -> Array:
        """The vector of each photo, shape (photos, width); NaN where there is none to be seen."""
        found = np.full((len(addresses), self.backbone.width), np.nan, dtype=np.float32)
        store, nothing = store_for(self.wanted.side), np.zeros(3, dtype=np.uint8)
        named = [(place, address) for place, address in enumerate(addresses) if address]
        for start in range(0, len(named), AT_ONCE):
            part = named[start : start + AT_ONCE]
            broken = store.broken([address for _, address in part])
            there = [one for one, is_broken in zip(part, broken, strict=True) if not is_broken]
            pixels = store.pixels([address for _, address in there], nothing)
            found[[place for place, _ in there]] = self.backbone.vectors(list(pixels))
        return found


def open_pretrained(name: str, side: int | None = None) -> Pretrained:
    """A pretrained network by name; exported once, its vectors kept, as training asks often.

    Args:
        name: a folder, or a name at a hub.
        side: of the squares that it is to read; what its own files say if left out.

    Raises:
        DataError: there is no such network, or it reads no photos.
        MissingExtraError: what runs it is not installed.
    """
    if "/" not in name and not place_of(name).is_dir():
        raise DataError(
            f"there is no network {name!r} for photos",
            seen=f"neither a network that is known nor a folder in {place_of('').resolve()}",
            way_out=f"{near(name, SCRATCH)}; or give the folder of a pretrained one: ./{name}",
        )
    needs("text")  # it brings the library of pretrained networks
    needs("train")
    folder = weights_folder(name, {})
    return opened(folder, stamp_of(folder), side)


@lru_cache(maxsize=4)
def opened(folder: Path, stamp: Stamp, side: int | None) -> Pretrained:
    """The pretrained network in a folder, opened again when its files have another stamp."""
    wanted = wanted_by(folder, side)
    network = files.cache_folder() / "backbones" / weights_digest(folder) / f"{wanted.side}.onnx"
    if not network.is_file():
        from fieldcraft.kinds.image.export import export_network

        files.write_bytes(network, export_network(folder, wanted))
    backbone = load_backbone(network)
    backbone.keeps = True
    return Pretrained(wanted, backbone, folder)
