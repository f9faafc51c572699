"""Changes of photos that the project file asks for by name, most of them by the library kornia."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from fieldcraft.core.extras import require_extra
from fieldcraft.kinds.image.augment import N_SHIFT_GROUPS, cutout, random_flip

ImageTransform = Callable[[Tensor], Tensor]
MAX_ROTATION_DEGREES = 15.0  # degrees at most
CROP_AREA_RANGE, CROP_ASPECT_RANGE = (
    (0.5, 1.0),
    (0.8, 1.25),
)  # share of the area that is kept; its width by its height
BRIGHTNESS_CONTRAST_JITTER, HUE_JITTER, SATURATION_JITTER = 0.2, 0.05, 0.3
RANDAUGMENT_OPERATIONS, RANDAUGMENT_MAGNITUDE = (
    2,
    7,
)  # of RandAugment: changes one after the other, of 30
PIXEL_VALUE_AUGMENTATIONS = (
    "light",
    "colour",
    "randaugment",
)  # from 0 to 1; the others leave colours alone


def apply_augmentations(x: Tensor, names: Sequence[str], mean: Tensor, std: Tensor) -> Tensor:
    """A batch of standardised photos, each changed in the ways that are named.

    What moves photos about fills what comes in from outside with the mean colour.

    Args:
        x: shape (photos, channels, side, side).
        names: of `fieldcraft.kinds.image.options.CHANGES`.
        mean: of each channel, as it was taken off.
        std: by which each channel was divided.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.float()
        pixel_augmentations = [name for name in PIXEL_VALUE_AUGMENTATIONS if name in names]
        if pixel_augmentations:
            pixels = (x * std + mean).clamp(0, 1)
            for name in pixel_augmentations:
                pixels = build_augmentation(name, x.shape[-1])(pixels)
            x = (pixels - mean) / std
        for name in names:
            if name not in PIXEL_VALUE_AUGMENTATIONS:
                x = build_augmentation(name, x.shape[-1])(x)
    return x


@cache
def build_augmentation(name: str, side: int) -> ImageTransform:
    """The change that has a name, of photos of some side.

    RandAugment: Cubuk et al., *RandAugment: Practical Automated Data Augmentation*, 2020; an eighth
    of a batch is changed in one way.

    Raises:
        MissingExtraError: kornia is not installed.
    """
    builtin: dict[str, ImageTransform] = {
        "flip": random_flip,
        "vertical_flip": random_vertical_flip,
        "cutout": cutout,
    }
    if name in builtin:
        return builtin[name]
    require_extra("train")
    from kornia import augmentation
    from kornia.augmentation.auto import RandAugment

    if name == "randaugment":
        randaugment = RandAugment(RANDAUGMENT_OPERATIONS, RANDAUGMENT_MAGNITUDE)
        return lambda x: torch.cat([randaugment(part) for part in x.chunk(N_SHIFT_GROUPS)])
    builders: dict[str, Callable[[], ImageTransform]] = {
        "rotate": lambda: augmentation.RandomRotation(MAX_ROTATION_DEGREES, p=1.0),
        "zoom": lambda: augmentation.RandomResizedCrop(
            (side, side), scale=CROP_AREA_RANGE, ratio=CROP_ASPECT_RANGE, cropping_mode="resample"
        ),
        "light": lambda: augmentation.ColorJiggle(
            brightness=BRIGHTNESS_CONTRAST_JITTER, contrast=BRIGHTNESS_CONTRAST_JITTER
        ),
        "colour": lambda: augmentation.ColorJiggle(hue=HUE_JITTER, saturation=SATURATION_JITTER),
    }
    return builders[name]()


def random_vertical_flip(photos: Tensor) -> Tensor:
    """Photos of which every other one, by chance, stands on its head."""
    return random_flip(photos.transpose(2, 3)).transpose(2, 3)
