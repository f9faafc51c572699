"""How a pretrained network wants its photos: what the files beside its weights say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldcraft.core import files
from fieldcraft.data.weights import CONFIG
from fieldcraft.kinds.image.options import is_side

READING = "preprocessor_config.json"
SIDE = 224
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photos


@dataclass(frozen=True)
class Wanted:
    """How a network wants its photos: the side of the squares, and what their light is scaled by.

    Attributes:
        side: in pixels.
        mean: of red, green and blue, from 0 to 1, that is taken off.
        spread: of the same, that the rest is divided by.
    """

    side: int = SIDE
    mean: tuple[float, ...] = MEAN
    spread: tuple[float, ...] = SPREAD


def wanted_by(folder: Path, side: int | None = None) -> Wanted:
    """How the network in a folder wants its photos, as its own files say.

    Photos are never cut: where the files say to cut a square out of a larger one, the whole photo
    is brought to the size of what would be cut.

    Args:
        folder: of the network.
        side: of the squares, if another one is asked for.
    """
    path = folder / READING
    said = files.read_json(path) if path.is_file() else {}
    sizes = [size_in(said.get("size")), files.read_json(folder / CONFIG).get("image_size")]
    if said.get("do_center_crop"):
        sizes.insert(0, size_in(said.get("crop_size")))
    own = next((size for size in sizes if is_side(size)), SIDE)
    if said.get("do_normalize") is False:
        return Wanted(side or own, (0.0,) * 3, (1.0,) * 3)
    mean, spread = (colours(said.get(key)) for key in ("image_mean", "image_std"))
    return Wanted(side or own, mean or MEAN, spread or SPREAD)


def size_in(said: Any) -> Any:
    """The side that an entry on sizes says: a number, or one by some name."""
    if not isinstance(said, Mapping):
        return said
    return next((said[key] for key in ("height", "shortest_edge") if key in said), None)


def colours(said: Any) -> tuple[float, ...] | None:
    """Figures of red, green and blue; None if there are not three."""
    fits = isinstance(said, Sequence) and len(said) == 3
    return tuple(float(part) for part in said) if fits else None
