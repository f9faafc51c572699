"""Options of photo columns in the project file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fieldcraft.core.errors import DataError
from fieldcraft.data.schema import Column
from fieldcraft.kinds.image.architectures import DEFAULT_NETWORK, IMAGE_NETWORKS_FROM_SCRATCH

MIN_SIDE_PIXELS, MAX_SIDE_PIXELS = 16, 1_024
LORA = "lora"
SIDE_HINT = f"a number of pixels from {MIN_SIDE_PIXELS} to {MAX_SIDE_PIXELS:,}"
BOOLEAN_HINT = "true or false"
ENCODER_HINT = (
    f"{', '.join(IMAGE_NETWORKS_FROM_SCRATCH)}, or the folder of a pretrained network or of a "
    "bundle with photos"
)
FLIP_AUGMENTATIONS = ("horizontal_flip", "vertical_flip")  # skipped where flips are not allowed
AUGMENTATIONS = (
    *FLIP_AUGMENTATIONS,
    "rotate",
    "random_resized_crop",
    "brightness_contrast",
    "color",
    "cutout",
    "randaugment",
)
AUGMENT_HINT = f"true, false, or a list of some of {', '.join(AUGMENTATIONS)}"
FINETUNE_HINT = "true or lora, with a pretrained encoder"


@dataclass(frozen=True)
class ImageOptions:
    """The options shared by all photo columns, since one network reads them all.

    Attributes:
        side: side of the square images, in pixels; None if it is learned.
        allow_flip: whether photos may be flipped; None if it is learned.
        encoder: name of a network trained from scratch, or folder of a pretrained network or of a
            bundle.
        finetune: whether and how a pretrained network is trained: False, True or "lora".
        augment: whether to use the default augmentations, or the names of others.
        first_column: the first column that sets the network, for error messages.
    """

    side: int | None = None
    allow_flip: bool | None = None
    encoder: str = DEFAULT_NETWORK
    finetune: bool | str = False
    augment: bool | tuple[str, ...] = True
    first_column: str = ""

    @property
    def has_pretrained_weights(self) -> bool:
        """Whether the initial weights come from a pretrained network or a bundle."""
        return self.encoder not in IMAGE_NETWORKS_FROM_SCRATCH


def parse_image_options(columns: Sequence[Column]) -> ImageOptions:
    """Parse and validate the options of photo columns.

    Raises:
        DataError: an option is invalid, or columns ask for different networks.
    """
    sizes = [
        validated_option(column, "image_size", is_valid_side, SIDE_HINT)
        for column in columns
        if "image_size" in column.options
    ]
    flip_options = [
        validated_option(column, "horizontal_flip", is_boolean, BOOLEAN_HINT)
        for column in columns
        if "horizontal_flip" in column.options
    ]
    encoders = {
        column.name: validated_option(column, "encoder", is_nonempty_string, ENCODER_HINT)
        for column in columns
        if "encoder" in column.options
    }
    finetune_modes = {
        column.name: validated_option(column, "finetune", is_finetune_mode, FINETUNE_HINT)
        for column in columns
        if "finetune" in column.options
    }
    augment_options = {
        column.name: normalize_augment(
            validated_option(column, "augment", is_augment_option, AUGMENT_HINT)
        )
        for column in columns
        if "augment" in column.options
    }
    for option, values_by_column in (
        ("encoder", encoders),
        ("finetune", finetune_modes),
        ("augment", augment_options),
    ):
        if len(set(values_by_column.values())) > 1:
            raise DataError(
                f"photo columns differ in {option}, but one network reads them all",
                detail="; ".join(f"{name}: {value}" for name, value in values_by_column.items()),
                hint=f"use one value for all of them: data.columns.<name>.{option}",
            )
    # The largest size keeps the detail of every column. A single column that must not be flipped
    # rules out flips, since one network reads all columns.
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
            next(iter(finetune_modes)), "finetune", options.finetune, FINETUNE_HINT
        )
    return options


def validated_option(
    column: Column, option: str, is_valid: Callable[[Any], bool], allowed: str
) -> Any:
    """Return an option of a photo column if it is valid.

    Raises:
        DataError: it is not.
    """
    value = column.options[option]
    if is_valid(value):
        return value
    raise invalid_option_error(column.name, option, value, allowed)


def invalid_option_error(column: str, option: str, value: object, allowed: str) -> DataError:
    """The error for an invalid option."""
    return DataError(
        f"the option {option} of the photo column {column!r} is invalid",
        detail=f"{option}: {value}",
        hint=f"set data.columns.{column}.{option} to {allowed}, or leave it out",
    )


def is_valid_side(value: Any) -> bool:
    """Whether this is a side of images that networks can read."""
    return type(value) is int and MIN_SIDE_PIXELS <= value <= MAX_SIDE_PIXELS


def is_boolean(value: Any) -> bool:
    """Whether this is a boolean."""
    return isinstance(value, bool)


def is_nonempty_string(value: Any) -> bool:
    """Whether this is a string that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def is_finetune_mode(value: Any) -> bool:
    """Whether this is a way to fine-tune a pretrained network."""
    return isinstance(value, bool) or value == LORA


def is_augment_option(value: Any) -> bool:
    """Whether this is a boolean or a list of distinct names of augmentations."""
    if not isinstance(value, list | tuple):
        return isinstance(value, bool)
    known_names = {name for name in AUGMENTATIONS if name in value}
    return bool(value) and len(known_names) == len(value)


def normalize_augment(value: bool | Sequence[str]) -> bool | tuple[str, ...]:
    """Put the names of augmentations in a fixed order, so that equal options compare equal."""
    return (
        value if isinstance(value, bool) else tuple(name for name in AUGMENTATIONS if name in value)
    )
