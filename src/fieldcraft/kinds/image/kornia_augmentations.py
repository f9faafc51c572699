"""Augmentations by their names in the project file, most of them from the library kornia."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from fieldcraft.core.extras import require_extra
from fieldcraft.kinds.image.augment import N_SHIFT_GROUPS, cutout, random_flip

ImageTransform = Callable[[Tensor], Tensor]
MAX_ROTATION_DEGREES = 15.0
CROP_AREA_RANGE = (0.5, 1.0)  # fraction of the area that is kept
CROP_ASPECT_RANGE = (0.8, 1.25)  # width divided by height
BRIGHTNESS_CONTRAST_JITTER, HUE_JITTER, SATURATION_JITTER = 0.2, 0.05, 0.3
RANDAUGMENT_OPERATIONS = 2  # one after the other
RANDAUGMENT_MAGNITUDE = 7  # of 30
PIXEL_VALUE_AUGMENTATIONS = ("brightness_contrast", "color", "randaugment")  # need values in 0..1


def apply_augmentations(x: Tensor, names: Sequence[str], mean: Tensor, std: Tensor) -> Tensor:
    """Augment a batch of standardized photos.

    Rotations and crops fill the border with 0, which is the mean color.

    Args:
        x: shape (photos, channels, side, side).
        names: some of `fieldcraft.kinds.image.options.AUGMENTATIONS`.
        mean: mean of each channel, which was subtracted from pixels in 0..1.
        std: standard deviation of each channel, by which the difference was divided.
    """
    # Kornia inverts matrices, for which half precision is too coarse or not implemented.
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
    """Build an augmentation of photos of some side by name.

    RandAugment: Cubuk et al., *RandAugment: Practical Automated Data Augmentation*, 2020; it draws
    new operations for each eighth of a batch.

    Raises:
        MissingExtraError: kornia is not installed.
    """
    builtin: dict[str, ImageTransform] = {
        "horizontal_flip": random_flip,
        "vertical_flip": random_vertical_flip,
        "cutout": cutout,
    }
    if name in builtin:
        return builtin[name]
    require_extra("image")
    from kornia import augmentation
    from kornia.augmentation.auto import RandAugment

    if name == "randaugment":
        randaugment = RandAugment(RANDAUGMENT_OPERATIONS, RANDAUGMENT_MAGNITUDE)
        return lambda x: torch.cat([randaugment(part) for part in x.chunk(N_SHIFT_GROUPS)])
    builders: dict[str, Callable[[], ImageTransform]] = {
        "rotate": lambda: augmentation.RandomRotation(MAX_ROTATION_DEGREES, p=1.0),
        "random_resized_crop": lambda: augmentation.RandomResizedCrop(
            (side, side), scale=CROP_AREA_RANGE, ratio=CROP_ASPECT_RANGE, cropping_mode="resample"
        ),
        "brightness_contrast": lambda: augmentation.ColorJiggle(
            brightness=BRIGHTNESS_CONTRAST_JITTER, contrast=BRIGHTNESS_CONTRAST_JITTER
        ),
        "color": lambda: augmentation.ColorJiggle(hue=HUE_JITTER, saturation=SATURATION_JITTER),
    }
    return builders[name]()


def random_vertical_flip(photos: Tensor) -> Tensor:
    """Flip each photo vertically with probability 1/2."""
    return random_flip(photos.transpose(2, 3)).transpose(2, 3)
