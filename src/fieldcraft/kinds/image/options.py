"""What the project file asks of columns of photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fieldcraft.core.errors import DataError
from fieldcraft.data.table import Column
from fieldcraft.kinds.image.scratch import OWN, SCRATCH

LEAST, MOST = 16, 1_024  # pixels a side that may be asked for
LORA = "lora"
PIXELS, TRUTH = f"a number of pixels from {LEAST} to {MOST:,}", "true or false"
NETWORK = f"{', '.join(SCRATCH)}, or the folder of a pretrained network or of a bundle with photos"
FLIPS = ("flip", "vertical_flip")  # happen only where photos may be mirrored
CHANGES = (*FLIPS, "rotate", "zoom", "light", "colour", "cutout", "randaugment")
AUGMENT = f"true, false, or a list of some of {', '.join(CHANGES)}"
TUNING = "true or lora, with a pretrained encoder"


@dataclass(frozen=True)
class Asked:
    """What is asked of all columns of photos, which one network reads.

    Attributes:
        side: of the squares, in pixels; None where it is learned.
        mirror: whether left and right may be swapped; None where it is learned.
        name: of a network that is trained from the ground up, of a pretrained one, or of a bundle.
        tune: how a pretrained one is trained; not at all if it is False.
        augment: whether training changes photos in our own ways, or the names of other ways.
        column: the first that asks for the network, to be named in errors.
    """

    side: int | None = None
    mirror: bool | None = None
    name: str = OWN
    tune: bool | str = False
    augment: bool | tuple[str, ...] = True
    column: str = ""

    @property
    def learned(self) -> bool:
        """Whether the network begins with what was learned elsewhere."""
        return self.name not in SCRATCH


def asked_of(columns: Sequence[Column]) -> Asked:
    """What the project file asks of columns of photos.

    Raises:
        DataError: an option does not fit, or columns ask for different networks.
    """
    sizes = [asked(c, "size", is_side, PIXELS) for c in columns if "size" in c.options]
    mirrors = [asked(c, "mirror", is_truth, TRUTH) for c in columns if "mirror" in c.options]
    names = {c.name: asked(c, "encoder", is_name, NETWORK) for c in columns
             if "encoder" in c.options}  # fmt: skip
    tunes = {c.name: asked(c, "tune", is_tuning, TUNING) for c in columns if "tune" in c.options}
    augments = {c.name: as_augment(asked(c, "augment", is_augment, AUGMENT)) for c in columns
                if "augment" in c.options}  # fmt: skip
    for option, said in (("encoder", names), ("tune", tunes), ("augment", augments)):
        if len(set(said.values())) > 1:
            raise DataError(
                f"columns of photos differ in {option}, but one network reads them all",
                seen="; ".join(f"{name}: {value}" for name, value in said.items()),
                way_out=f"use one for all of them: data.columns.<name>.{option}",
            )
    found = Asked(
        max(sizes, default=None),
        all(mirrors) if mirrors else None,
        next(iter(names.values()), OWN),
        next(iter(tunes.values()), False),
        next(iter(augments.values()), True),
        next(iter(names or tunes), ""),
    )
    if found.tune and not found.learned:
        raise unfit(next(iter(tunes)), "tune", found.tune, TUNING)
    return found


def asked(column: Column, option: str, fits: Callable[[Any], bool], wanted: str) -> Any:
    """What the project file asks of a column of photos.

    Raises:
        DataError: that does not fit.
    """
    value = column.options[option]
    if fits(value):
        return value
    raise unfit(column.name, option, value, wanted)


def unfit(column: str, option: str, value: object, wanted: str) -> DataError:
    """The error for an option that does not fit."""
    return DataError(
        f"the option {option} of the photos in {column!r} does not fit",
        seen=f"{option}: {value}",
        way_out=f"set data.columns.{column}.{option} to {wanted}, or leave it out",
    )


def is_side(value: Any) -> bool:
    """Whether a network can take squares of this side."""
    return type(value) is int and LEAST <= value <= MOST


def is_truth(value: Any) -> bool:
    """Whether this is true or false."""
    return isinstance(value, bool)


def is_name(value: Any) -> bool:
    """Whether this may name a network."""
    return isinstance(value, str) and bool(value.strip())


def is_tuning(value: Any) -> bool:
    """Whether this is a way to train a pretrained network."""
    return isinstance(value, bool) or value == LORA


def is_augment(value: Any) -> bool:
    """Whether this says how training changes photos: whether at all, or by which names."""
    if not isinstance(value, list | tuple):
        return isinstance(value, bool)
    known = {name for name in CHANGES if name in value}
    return bool(value) and len(known) == len(value)


def as_augment(value: bool | Sequence[str]) -> bool | tuple[str, ...]:
    """How training changes photos, as one value whatever the order of the names."""
    return value if isinstance(value, bool) else tuple(name for name in CHANGES if name in value)
