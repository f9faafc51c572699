"""The preprocessing of a pretrained network, from the files beside its weights."""

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
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class PreprocessorConfig:
    """Size and scale of the photos that a network reads.

    Attributes:
        side: side of the square images, in pixels.
        mean: mean of red, green and blue, from 0 to 1, which is subtracted.
        std: standard deviation of red, green and blue, by which the difference is divided.
    """

    side: int = DEFAULT_SIDE_PIXELS
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def read_preprocessor_config(folder: Path, side: int | None = None) -> PreprocessorConfig:
    """Read the preprocessing of the network in a folder.

    Photos are never cropped, as the border may show what matters. Where the files ask for a center
    crop, the whole photo is resized to the size of the crop.

    Args:
        folder: the folder of the network.
        side: side of the square images, to override the files.
    """
    path = folder / PREPROCESSOR_FILE
    config = files.read_json(path) if path.is_file() else {}
    # In order of preference: the files of the preprocessor, then that of the network.
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
    # Mean 0 and standard deviation 1 leave pixels from 0 to 1 as they are.
    if config.get("do_normalize") is False:
        return PreprocessorConfig(side or native_side, (0.0,) * 3, (1.0,) * 3)
    mean, std = (parse_channel_values(config.get(key)) for key in ("image_mean", "image_std"))
    return PreprocessorConfig(side or native_side, mean or IMAGENET_MEAN, std or IMAGENET_STD)


def parse_side(entry: Any) -> Any:
    """The side in an entry of sizes, which is a number or a mapping; not validated."""
    if not isinstance(entry, Mapping):
        return entry
    return next((entry[key] for key in ("height", "shortest_edge") if key in entry), None)


def parse_channel_values(entry: Any) -> tuple[float, ...] | None:
    """Values of red, green and blue; None if there are not three."""
    is_rgb = isinstance(entry, Sequence) and len(entry) == 3
    return tuple(float(value) for value in entry) if is_rgb else None
