"""What the project file asks of columns of photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fieldcraft.core.errors import DataError
from fieldcraft.data.schema import Column
from fieldcraft.kinds.image.architectures import DEFAULT_NETWORK, IMAGE_NETWORKS_FROM_SCRATCH

MIN_SIDE_PIXELS, MAX_SIDE_PIXELS = 16, 1_024  # pixels a side that may be asked for
LORA = "lora"
SIDE_HINT, BOOLEAN_HINT = (
    f"a number of pixels from {MIN_SIDE_PIXELS} to {MAX_SIDE_PIXELS:,}",
    "true or false",
)
ENCODER_HINT = f"{', '.join(IMAGE_NETWORKS_FROM_SCRATCH)}, or the folder of a pretrained network or of a bundle with photos"
FLIP_AUGMENTATIONS = ("flip", "vertical_flip")  # happen only where photos may be mirrored
AUGMENTATIONS = (*FLIP_AUGMENTATIONS, "rotate", "zoom", "light", "colour", "cutout", "randaugment")
AUGMENT_HINT = f"true, false, or a list of some of {', '.join(AUGMENTATIONS)}"
FINETUNE_HINT = "true or lora, with a pretrained encoder"


@dataclass(frozen=True)
class ImageOptions:
    """What is asked of all columns of photos, which one network reads.

    Attributes:
        side: of the squares, in pixels; None where it is learned.
        allow_flip: whether left and right may be swapped; None where it is learned.
        encoder: of a network that is trained from the ground up, of a pretrained one, or of a bundle.
        finetune: how a pretrained one is trained; not at all if it is False.
        augment: whether training changes photos in our own ways, or the names of other ways.
        first_column: the first that asks for the network, to be named in errors.
    """

    side: int | None = None
    allow_flip: bool | None = None
    encoder: str = DEFAULT_NETWORK
    finetune: bool | str = False
    augment: bool | tuple[str, ...] = True
    first_column: str = ""

    @property
    def has_pretrained_weights(self) -> bool:
        """Whether the network begins with what was learned elsewhere."""
        return self.encoder not in IMAGE_NETWORKS_FROM_SCRATCH


def parse_image_options(columns: Sequence[Column]) -> ImageOptions:
    """What the project file asks of columns of photos.

    Raises:
        DataError: an option does not fit, or columns ask for different networks.
    """
    sizes = [
        validated_option(column, "size", is_valid_side, SIDE_HINT)
        for column in columns
        if "size" in column.options
    ]
    flip_options = [
        validated_option(column, "mirror", is_boolean, BOOLEAN_HINT)
        for column in columns
        if "mirror" in column.options
    ]
    encoders = {column.name: validated_option(column, "encoder", is_nonempty_string, ENCODER_HINT) for column in columns
             if "encoder" in column.options}  # fmt: skip
    finetune_modes = {
        column.name: validated_option(column, "tune", is_finetune_mode, FINETUNE_HINT)
        for column in columns
        if "tune" in column.options
    }
    augment_options = {column.name: normalize_augment(validated_option(column, "augment", is_augment_option, AUGMENT_HINT)) for column in columns
                if "augment" in column.options}  # fmt: skip
    for option, values_by_column in (
        ("encoder", encoders),
        ("tune", finetune_modes),
        ("augment", augment_options),
    ):
        if len(set(values_by_column.values())) > 1:
            raise DataError(
                f"columns of photos differ in {option}, but one network reads them all",
                detail="; ".join(f"{name}: {value}" for name, value in values_by_column.items()),
                hint=f"use one for all of them: data.columns.<name>.{option}",
            )
    options = ImageOptions(
        max(sizes, default=None),
        all(flip_options) if flip_options else None,
        next(iter(encoders.values()), DEFAULT_NETWORK),
        next(iter(finetune_modes.values()), False),
        next(iter(augment_options.values()), True),
        next(iter(encoders or finetune_modes), ""),
    )
    if options.finetune and not options.has_pretrained_weights:
        raise invalid_option_error(
            next(iter(finetune_modes)), "tune", options.finetune, FINETUNE_HINT
        )
    return options


def validated_option(
    column: Column, option: str, is_valid: Callable[[Any], bool], allowed: str
) -> Any:
    """What the project file asks of a column of photos.

    Raises:
        DataError: that does not fit.
    """
    value = column.options[option]
    if is_valid(value):
        return value
    raise invalid_option_error(column.name, option, value, allowed)


def invalid_option_error(column: str, option: str, value: object, allowed: str) -> DataError:
    """The error for an option that does not fit."""
    return DataError(
        f"the option {option} of the photos in {column!r} does not fit",
        detail=f"{option}: {value}",
        hint=f"set data.columns.{column}.{option} to {allowed}, or leave it out",
    )


def is_valid_side(value: Any) -> bool:
    """Whether a network can take squares of this side."""
    return type(value) is int and MIN_SIDE_PIXELS <= value <= MAX_SIDE_PIXELS


def is_boolean(value: Any) -> bool:
    """Whether this is true or false."""
    return isinstance(value, bool)


def is_nonempty_string(value: Any) -> bool:
    """Whether this may name a network."""
    return isinstance(value, str) and bool(value.strip())


def is_finetune_mode(value: Any) -> bool:
    """Whether this is a way to train a pretrained network."""
    return isinstance(value, bool) or value == LORA


def is_augment_option(value: Any) -> bool:
    """Whether this says how training changes photos: whether at all, or by which names."""
    if not isinstance(value, list | tuple):
        return isinstance(value, bool)
    known_names = {name for name in AUGMENTATIONS if name in value}
    return bool(value) and len(known_names) == len(value)


def normalize_augment(value: bool | Sequence[str]) -> bool | tuple[str, ...]:
    """How training changes photos, as one value whatever the order of the names."""
    return (
        value if isinstance(value, bool) else tuple(name for name in AUGMENTATIONS if name in value)
    )
