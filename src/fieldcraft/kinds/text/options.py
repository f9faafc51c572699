"""Options of text columns in the project file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fieldcraft.core.errors import DataError
from fieldcraft.data.schema import Column

OPTION_NAMES = ("encoder", "max_tokens", "finetune", "augment")
NGRAM_ENCODER_NAME = "ngrams"  # the default; every text column has n-gram features
TEXT_NETWORKS_FROM_SCRATCH = ("bag", "cnn", "rnn", "lstm", "gru", "transformer")
MIN_WINDOW_TOKENS = 8
AUGMENTATIONS = ("token_dropout", "token_swap", "synonyms", "typos")
# `augment: true` selects these. Typos have to be named, as they need several tokenized copies of
# each training text in memory.
DEFAULT_AUGMENTATIONS = AUGMENTATIONS[:3]
FINETUNE_MODES = (False, True, "lora")


@dataclass(frozen=True)
class TextOptions:
    """The encoder used beside n-grams, and the columns that use it.

    Attributes:
        encoder: a network trained from scratch (`TEXT_NETWORKS_FROM_SCRATCH`), or a pretrained
            encoder: a packaged name, a folder, or a name at a hub.
        max_tokens: maximum number of tokens in a window; None for the encoder's default.
        finetune: how a pretrained encoder is fine-tuned: True, "lora", False (frozen), or None to
            fine-tune it where that pays.
        augmentations: names from `AUGMENTATIONS`, or ``package.module:function`` of the user.
        columns: names of the columns.
    """

    encoder: str
    max_tokens: int | None
    finetune: bool | str | None
    augmentations: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def is_pretrained(self) -> bool:
        """Whether the encoder is a pretrained backbone."""
        return self.encoder not in TEXT_NETWORKS_FROM_SCRATCH

    @property
    def is_token_level(self) -> bool:
        """Whether the network reads tokens whatever the training data are."""
        return bool(self.finetune) or not self.is_pretrained


def parse_text_options(columns: Sequence[Column]) -> TextOptions | None:
    """Parse the encoder options shared by all text columns; None if all use n-grams only.

    Raises:
        DataError: columns ask for different encoders, or an option is invalid.
    """
    encoder_columns = [
        column
        for column in columns
        if column.options.get("encoder", NGRAM_ENCODER_NAME) != NGRAM_ENCODER_NAME
    ]
    if not encoder_columns:
        return None
    # One network reads all columns, so that they share its weights and its cost.
    distinct_options = {
        repr([column.options.get(name) for name in OPTION_NAMES]) for column in encoder_columns
    }
    if len(distinct_options) > 1:
        raise DataError(
            "text columns ask for different encoders",
            detail="; ".join(
                f"{column.name}: {column.options['encoder']}" for column in encoder_columns
            ),
            hint=f"use one encoder for all of them, or {NGRAM_ENCODER_NAME} for some: "
            "data.columns.<name>.encoder",
        )
    first_column = encoder_columns[0]
    encoder = validated_option(
        first_column,
        "encoder",
        None,
        is_nonempty_string,
        "ngrams, minilm, a folder or the name of a network",
    )
    is_from_scratch = encoder in TEXT_NETWORKS_FROM_SCRATCH

    def is_finetune_mode(value: Any) -> bool:
        return value is None or (value in FINETUNE_MODES and not (value and is_from_scratch))

    def is_valid_token_count(value: Any) -> bool:
        # YAML's `true` is an int in Python: isinstance would let it pass.
        return value is None or (type(value) is int and value >= MIN_WINDOW_TOKENS)

    finetune = validated_option(
        first_column,
        "finetune",
        None,
        is_finetune_mode,
        "true, false or lora, with a pretrained encoder",
    )
    is_trained = is_from_scratch or bool(finetune)
    return TextOptions(
        encoder,
        validated_option(
            first_column,
            "max_tokens",
            None,
            is_valid_token_count,
            f"a whole number of at least {MIN_WINDOW_TOKENS}",
        ),
        finetune,
        parse_augmentations(first_column, is_trained, is_from_scratch),
        tuple(column.name for column in encoder_columns),
    )


def parse_augmentations(column: Column, is_trained: bool, is_from_scratch: bool) -> tuple[str, ...]:
    """Parse the option `augment`.

    Raises:
        DataError: the option is invalid, or the encoder is not trained.
    """
    # Synonyms are neighbors among pretrained token embeddings, which other networks lack.
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
    """Whether a string has the form ``package.module:function``."""
    module, _, function = value.partition(":")
    return function.isidentifier() and all(part.isidentifier() for part in module.split("."))


def is_nonempty_string(value: Any) -> bool:
    """Whether a value is a string that is not blank."""
    return isinstance(value, str) and bool(value.strip())


def validated_option(
    column: Column, option: str, default: Any, is_valid: Callable[[Any], bool], allowed: str
) -> Any:
    """Return an option of a text column, or its default.

    Raises:
        DataError: the value is invalid.
    """
    value = column.options.get(option, default)
    if is_valid(value):
        return value
    raise DataError(
        f"invalid option {option} of the text column {column.name!r}",
        detail=f"{option}: {value}",
        hint=f"set data.columns.{column.name}.{option} to {allowed}, or remove it",
    )
