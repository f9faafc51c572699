"""Changes of photos that the project file asks for by name, most of them by the library kornia."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from fieldcraft.core.optional import needs
from fieldcraft.kinds.image.augment import GROUPS, hidden, mirrored

Change = Callable[[Tensor], Tensor]
TURNED = 15.0  # degrees at most
CROPPED, BENT = (0.5, 1.0), (0.8, 1.25)  # share of the area that is kept; its width by its height
LIT, HUE, SATURATION = 0.2, 0.05, 0.3
ROUNDS, STRENGTH = 2, 7  # of RandAugment: changes one after the other, of 30
ON_PIXELS = ("light", "colour", "randaugment")  # from 0 to 1; the others leave colours alone


def changed(x: Tensor, names: Sequence[str], mean: Tensor, spread: Tensor) -> Tensor:
    """A batch of standardised photos, each changed in the ways that are named.

    What moves photos about fills what comes in from outside with the mean colour.

    Args:
        x: shape (photos, channels, side, side).
        names: of `fieldcraft.kinds.image.options.CHANGES`.
        mean: of each channel, as it was taken off.
        spread: by which each channel was divided.
    """
    with torch.autocast(x.device.type, enabled=False):
        x = x.float()
        on_pixels = [name for name in ON_PIXELS if name in names]
        if on_pixels:
            pixels = (x * spread + mean).clamp(0, 1)
            for name in on_pixels:
                pixels = change(name, x.shape[-1])(pixels)
            x = (pixels - mean) / spread
        for name in names:
            if name not in ON_PIXELS:
                x = change(name, x.shape[-1])(x)
    return x


@cache
def change(name: str, side: int) -> Change:
    """The change that has a name, of photos of some side.

    RandAugment: Cubuk et al., *RandAugment: Practical Automated Data Augmentation*, 2020; an eighth
    of a batch is changed in one way.

    Raises:
        MissingExtraError: kornia is not installed.
    """
    own: dict[str, Change] = {"flip": mirrored, "vertical_flip": upside_down, "cutout": hidden}
    if name in own:
        return own[name]
    needs("train")
    from kornia import augmentation
    from kornia.augmentation.auto import RandAugment

    if name == "randaugment":
        several = RandAugment(ROUNDS, STRENGTH)
        return lambda x: torch.cat([several(part) for part in x.chunk(GROUPS)])
    built: dict[str, Callable[[], Change]] = {
        "rotate": lambda: augmentation.RandomRotation(TURNED, p=1.0),
        "zoom": lambda: augmentation.RandomResizedCrop(
            (side, side), scale=CROPPED, ratio=BENT, cropping_mode="resample"
        ),
        "light": lambda: augmentation.ColorJiggle(brightness=LIT, contrast=LIT),
        "colour": lambda: augmentation.ColorJiggle(hue=HUE, saturation=SATURATION),
    }
    return built[name]()


def upside_down(photos: Tensor) -> Tensor:
    """Photos of which every other one, by chance, stands on its head."""
    return mirrored(photos.transpose(2, 3)).transpose(2, 3)
