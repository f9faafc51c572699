"""What the project file asks of columns of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fieldcraft.core.errors import DataError
from fieldcraft.data.schema import Column
from fieldcraft.kinds.text.token_encoder import TEXT_NETWORKS_FROM_SCRATCH

OPTION_NAMES = ("encoder", "length", "tune", "augment")
NGRAM_ENCODER_NAME = "ngrams"  # the encoder that needs nothing pretrained
MIN_WINDOW_TOKENS = 8  # tokens of a window
AUGMENTATIONS = ("drop", "swap", "synonyms", "typos")  # in which training texts are changed
DEFAULT_AUGMENTATIONS = AUGMENTATIONS[:3]  # that `true` stands for
FINETUNE_MODES = (False, True, "lora")  # ways to train a pretrained encoder


@dataclass(frozen=True)
class TextOptions:
    """The encoder that the project file asks for, beside n-grams, and for which columns.

    Attributes:
        encoder: of a network that is trained from the ground up, or of a pretrained one.
        max_length: tokens that are read in one go.
        finetune: how a pretrained one is trained; not at all if it is False, and if it is None where
            that pays.
        augmentations: the ways in which training texts are changed each time they are read; one with a
            colon is a function of the user's.
        columns: that ask for it.
    """

    encoder: str
    max_length: int | None
    finetune: bool | str | None
    augmentations: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def is_pretrained(self) -> bool:
        """Whether the network is a pretrained one."""
        return self.encoder not in TEXT_NETWORKS_FROM_SCRATCH

    @property
    def is_token_level(self) -> bool:
        """Whether the network that is trained surely reads token by token."""
        return bool(self.finetune) or not self.is_pretrained


def parse_text_options(columns: Sequence[Column]) -> TextOptions | None:
    """The one encoder for columns of texts beside n-grams; None where none asks for one.

    Raises:
        DataError: columns ask for different ones, or an option does not fit.
    """
    encoder_columns = [
        column
        for column in columns
        if column.options.get("encoder", NGRAM_ENCODER_NAME) != NGRAM_ENCODER_NAME
    ]
    if not encoder_columns:
        return None
    if (
        len(
            {
                repr([column.options.get(encoder) for encoder in OPTION_NAMES])
                for column in encoder_columns
            }
        )
        > 1
    ):
        raise DataError(
            "columns of texts ask for different encoders",
            detail="; ".join(
                f"{column.name}: {column.options['encoder']}" for column in encoder_columns
            ),
            hint=f"use one for all of them, or {NGRAM_ENCODER_NAME} for some: data.columns.<name>.encoder",
        )
    first_column = encoder_columns[0]
    encoder = validated_option(
        first_column,
        "encoder",
        None,
        is_nonempty_string,
        "ngrams, minilm, a folder or a network's name",
    )
    is_from_scratch = encoder in TEXT_NETWORKS_FROM_SCRATCH

    def is_finetune_mode(value: Any) -> bool:
        return value is None or (value in FINETUNE_MODES and not (value and is_from_scratch))

    def is_valid_length(value: Any) -> bool:
        return value is None or (type(value) is int and value >= MIN_WINDOW_TOKENS)

    finetune = validated_option(
        first_column, "tune", None, is_finetune_mode, "true or lora, with a pretrained encoder"
    )
    is_trained = is_from_scratch or bool(finetune)
    return TextOptions(
        encoder,
        validated_option(first_column, "length", None, is_valid_length, f"a number of tokens from {MIN_WINDOW_TOKENS} on"),
        finetune,
        parse_augmentations(first_column, is_trained, is_from_scratch),
        tuple(column.name for column in encoder_columns),
    )  # fmt: skip


def parse_augmentations(column: Column, is_trained: bool, is_from_scratch: bool) -> tuple[str, ...]:
    """The ways in which training texts are changed.

    Raises:
        DataError: they do not fit.
    """
    known_names = [name for name in AUGMENTATIONS if not (name == "synonyms" and is_from_scratch)]

    def is_augmentation(name: Any) -> bool:
        return isinstance(name, str) and (name in known_names or is_function_reference(name))

    def is_valid(value: Any) -> bool:
        if isinstance(value, bool):
            return is_trained or not value
        return is_trained and all(
            map(is_augmentation, value if isinstance(value, list) else [value])
        )

    allowed = (
        f"true, false, package.module:function or a list of {', '.join(known_names)} and functions"
    )
    value = validated_option(
        column, "augment", False, is_valid, f"{allowed}, with an encoder that is trained"
    )
    if isinstance(value, bool):
        return tuple(name for name in DEFAULT_AUGMENTATIONS if value and name in known_names)
    return tuple(dict.fromkeys([value] if isinstance(value, str) else value))


def is_function_reference(value: str) -> bool:
    """Whether this may name a function as ``package.module:function``."""
    module, _, function = value.partition(":")
    return function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def is_nonempty_string(value: Any) -> bool:
    """Whether this may name a network."""
    return isinstance(value, str) and bool(value.strip())


def validated_option(
    column: Column, option: str, default: Any, is_valid: Callable[[Any], bool], allowed: str
) -> Any:
    """What the project file asks of a column of texts.

    Raises:
        DataError: that does not fit.
    """
    value = column.options.get(option, default)
    if is_valid(value):
        return value
    raise DataError(
        f"the option {option} of the texts in {column.name!r} does not fit",
        detail=f"{option}: {value}",
        hint=f"set data.columns.{column.name}.{option} to {allowed}, or leave it out",
    )
