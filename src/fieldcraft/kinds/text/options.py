"""What the project file asks of columns of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fieldcraft.core.errors import DataError
from fieldcraft.data.table import Column
from fieldcraft.kinds.text.deep import SCRATCH

NAMES = ("encoder", "length", "tune", "augment")
NGRAMS = "ngrams"  # the encoder that needs nothing pretrained
SHORTEST = 8  # tokens of a window
WAYS = ("drop", "swap", "synonyms", "typos")  # in which training texts are changed
USUAL = WAYS[:3]  # that `true` stands for
TUNING = (False, True, "lora")  # ways to train a pretrained encoder


@dataclass(frozen=True)
class Asked:
    """The encoder that the project file asks for, beside n-grams, and for which columns.

    Attributes:
        name: of a network that is trained from the ground up, or of a pretrained one.
        length: tokens that are read in one go.
        tune: how a pretrained one is trained; not at all if it is False, and if it is None where
            that pays.
        augment: the ways in which training texts are changed each time they are read; one with a
            colon is a function of the user's.
        columns: that ask for it.
    """

    name: str
    length: int | None
    tune: bool | str | None
    augment: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def pretrained(self) -> bool:
        """Whether the network is a pretrained one."""
        return self.name not in SCRATCH

    @property
    def deep(self) -> bool:
        """Whether the network that is trained surely reads token by token."""
        return bool(self.tune) or not self.pretrained


def asked_of(columns: Sequence[Column]) -> Asked | None:
    """The one encoder for columns of texts beside n-grams; None where none asks for one.

    Raises:
        DataError: columns ask for different ones, or an option does not fit.
    """
    asking = [c for c in columns if c.options.get("encoder", NGRAMS) != NGRAMS]
    if not asking:
        return None
    if len({repr([c.options.get(name) for name in NAMES]) for c in asking}) > 1:
        raise DataError(
            "columns of texts ask for different encoders",
            seen="; ".join(f"{c.name}: {c.options['encoder']}" for c in asking),
            way_out=f"use one for all of them, or {NGRAMS} for some: data.columns.<name>.encoder",
        )
    first = asking[0]
    name = asked(first, "encoder", None, is_name, "ngrams, minilm, a folder or a network's name")
    fresh = name in SCRATCH

    def tunes(value: Any) -> bool:
        return value is None or (value in TUNING and not (value and fresh))

    def length_fits(value: Any) -> bool:
        return value is None or (type(value) is int and value >= SHORTEST)

    tune = asked(first, "tune", None, tunes, "true or lora, with a pretrained encoder")
    trained = fresh or bool(tune)
    return Asked(
        name,
        asked(first, "length", None, length_fits, f"a number of tokens from {SHORTEST} on"),
        tune,
        ways_of(first, trained, fresh),
        tuple(c.name for c in asking),
    )  # fmt: skip


def ways_of(column: Column, trained: bool, fresh: bool) -> tuple[str, ...]:
    """The ways in which training texts are changed.

    Raises:
        DataError: they do not fit.
    """
    known = [way for way in WAYS if not (way == "synonyms" and fresh)]

    def is_way(way: Any) -> bool:
        return isinstance(way, str) and (way in known or is_function(way))

    def fits(value: Any) -> bool:
        if isinstance(value, bool):
            return trained or not value
        return trained and all(map(is_way, value if isinstance(value, list) else [value]))

    wanted = f"true, false, package.module:function or a list of {', '.join(known)} and functions"
    value = asked(column, "augment", False, fits, f"{wanted}, with an encoder that is trained")
    if isinstance(value, bool):
        return tuple(way for way in USUAL if value and way in known)
    return tuple(dict.fromkeys([value] if isinstance(value, str) else value))


def is_function(value: str) -> bool:
    """Whether this may name a function as ``package.module:function``."""
    module, _, function = value.partition(":")
    return function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def is_name(value: Any) -> bool:
    """Whether this may name a network."""
    return isinstance(value, str) and bool(value.strip())


def asked(
    column: Column, option: str, default: Any, fits: Callable[[Any], bool], wanted: str
) -> Any:
    """What the project file asks of a column of texts.

    Raises:
        DataError: that does not fit.
    """
    value = column.options.get(option, default)
    if fits(value):
        return value
    raise DataError(
        f"the option {option} of the texts in {column.name!r} does not fit",
        seen=f"{option}: {value}",
        way_out=f"set data.columns.{column.name}.{option} to {wanted}, or leave it out",
    )
