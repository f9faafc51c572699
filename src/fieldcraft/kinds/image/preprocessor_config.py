"""How a pretrained network wants its photos: what the files beside its weights say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fieldcraft.core import files
from fieldcraft.data.pretrained_weights import CONFIG_FILE
from fieldcraft.kinds.image.options import is_valid_side

PREPROCESSOR_FILE = "preprocessor_config.json"
DEFAULT_SIDE_PIXELS = 224
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's photos


@dataclass(frozen=True)
class PreprocessorConfig:
    """How a network wants its photos: the side of the squares, and what their light is scaled by.

    Attributes:
        side: in pixels.
        mean: of red, green and blue, from 0 to 1, that is taken off.
        std: of the same, that the rest is divided by.
    """

    side: int = DEFAULT_SIDE_PIXELS
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def read_preprocessor_config(folder: Path, side: int | None = None) -> PreprocessorConfig:
    """How the network in a folder wants its photos, as its own files say.

    Photos are never cut: where the files say to cut a square out of a larger one, the whole photo
    is brought to the size of what would be cut.

    Args:
        folder: of the network.
        side: of the squares, if another one is asked for.
    """
    path = folder / PREPROCESSOR_FILE
    config = files.read_json(path) if path.is_file() else {}
    candidate_sides = [
        parse_side(config.get("size")),
        files.read_json(folder / CONFIG_FILE).get("image_size"),
    ]
    if config.get("do_center_crop"):
        candidate_sides.insert(0, parse_side(config.get("crop_size")))
    native_side = next(
        (candidate for candidate in candidate_sides if is_valid_side(candidate)),
        DEFAULT_SIDE_PIXELS,
    )
    if config.get("do_normalize") is False:
        return PreprocessorConfig(side or native_side, (0.0,) * 3, (1.0,) * 3)
    mean, std = (parse_channel_values(config.get(key)) for key in ("image_mean", "image_std"))
    return PreprocessorConfig(side or native_side, mean or IMAGENET_MEAN, std or IMAGENET_STD)


def parse_side(entry: Any) -> Any:
    """The side that an entry on sizes says: a number, or one by some name."""
    if not isinstance(entry, Mapping):
        return entry
    return next((entry[key] for key in ("height", "shortest_edge") if key in entry), None)


def parse_channel_values(entry: Any) -> tuple[float, ...] | None:
    """Figures of red, green and blue; None if there are not three."""
    is_rgb = isinstance(entry, Sequence) and len(entry) == 3
    return tuple(float(value) for value in entry) if is_rgb else None
