"""Paraphrases of training texts: texts with typos, or those of a user-supplied function."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array
from fieldcraft.kinds.text.augment.typos import add_typos
from fieldcraft.kinds.text.tokenization import MAX_CHARACTERS_PER_TOKEN, PAD_ID, TokenEncoder

N_TYPO_VARIANTS = 3
MAX_PARAPHRASES_PER_TEXT = 8
MAX_TOKEN_IDS = 100_000_000  # of all paraphrases: 400 MB as int32

Paraphraser = Callable[[list[str]], list[list[str]]]


def encode_paraphrases(
    token_encoder: TokenEncoder, columns: Sequence[pl.Series], paraphrasers: Sequence[Paraphraser]
) -> Array:
    """Encode the paraphrases of training texts, as `TokenEncoder.encode` does the texts.

    Args:
        token_encoder: encodes texts as token IDs.
        columns: training texts of each column.
        paraphrasers: each maps distinct texts to the paraphrases of each.

    Returns:
        Token IDs, shape (rows, columns, paraphrases, length), int32, padded with -1. Where a text
        has fewer paraphrases than others, the rest are rows of -1.
    """
    # Each distinct text is paraphrased once: a user's function may call a language model.
    cells = [column.to_list() for column in columns]
    texts = list(dict.fromkeys(text for column in cells for text in column if text))
    max_by_memory = MAX_TOKEN_IDS // max(
        sum(map(len, cells)) * token_encoder.tokenizer.window_length, 1
    )
    paraphrases_by_source = [paraphraser(texts) for paraphraser in paraphrasers]
    paraphrases_by_text = {
        text: list(
            dict.fromkeys(
                paraphrase for group in groups for paraphrase in group if paraphrase.strip()
            )
        )
        for text, *groups in zip(texts, *paraphrases_by_source, strict=True)
    }
    max_paraphrases = max(
        1,
        min(
            max_by_memory,
            MAX_PARAPHRASES_PER_TEXT,
            max(map(len, paraphrases_by_text.values()), default=1),
        ),
    )
    all_paraphrases = [
        paraphrase for text in texts for paraphrase in paraphrases_by_text[text][:max_paraphrases]
    ]
    ids_by_text = dict(zip(all_paraphrases, token_encoder.tokenize(all_paraphrases), strict=True))
    length = max(map(len, ids_by_text.values()), default=1)
    token_ids = np.full(
        (len(cells[0]), len(cells), max_paraphrases, length), PAD_ID, dtype=np.int32
    )
    for i, column in enumerate(cells):
        for row, text in enumerate(column):
            for k, paraphrase in enumerate(paraphrases_by_text.get(text, ())[:max_paraphrases]):
                token_ids[row, i, k, : len(ids_by_text[paraphrase])] = ids_by_text[paraphrase]
    return token_ids


def build_typo_paraphraser(token_encoder: TokenEncoder) -> Paraphraser:
    """Build a paraphraser that adds typos to the part of a text that is tokenized."""
    max_characters = token_encoder.tokenizer.window_length * MAX_CHARACTERS_PER_TOKEN
    return lambda texts: [
        [add_typos(t[:max_characters], i) for i in range(N_TYPO_VARIANTS)] for t in texts
    ]


def load_paraphraser(name: str) -> Paraphraser:
    """Import a user's function as a paraphraser.

    Args:
        name: ``package.module:function``; it takes all texts and returns a list of paraphrases for
            each.

    Raises:
        DataError: the function cannot be imported. The paraphraser raises it too, where the
            function fails or returns anything else.
    """
    module, _, function = name.partition(":")
    try:
        user_function: Any = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise DataError(
            f"the paraphrasing function {name} cannot be imported",
            detail=f"{type(error).__name__}: {error}",
            hint="set augment to package.module:function, of a package that is installed or "
            "whose folder is in PYTHONPATH",
        ) from error

    def call_user_function(texts: list[str]) -> list[list[str]]:
        try:
            result = user_function(list(texts))
        except Exception as error:
            raise invalid_paraphraser_error(name, f"{type(error).__name__}: {error}") from error
        return validate_paraphrases(name, result, len(texts))

    return call_user_function


def validate_paraphrases(name: str, result: Any, n_texts: int) -> list[list[str]]:
    """Check that a user's function returned a list of texts for each text.

    Raises:
        DataError: it did not.
    """
    if not isinstance(result, list | tuple) or len(result) != n_texts:
        size = f" of {len(result):,}" if isinstance(result, list | tuple) else ""
        raise invalid_paraphraser_error(
            name, f"a {type(result).__name__}{size} for {n_texts:,} texts"
        )
    for number, group in enumerate(result):
        if not isinstance(group, list | tuple):
            raise invalid_paraphraser_error(name, f"a {type(group).__name__} for text {number + 1}")
        invalid = next((item for item in group if not isinstance(item, str)), None)
        if invalid is not None:
            raise invalid_paraphraser_error(
                name, f"a {type(invalid).__name__} among the paraphrases of text {number + 1}"
            )
    # Tokenizers reject lone surrogates, which Python strings may contain.
    return [[item.encode(errors="replace").decode() for item in group] for group in result]


def invalid_paraphraser_error(name: str, detail: str) -> DataError:
    """Build the error for a paraphrasing function that fails or returns something else."""
    return DataError(
        f"the paraphrasing function {name} does not return paraphrases",
        detail=detail,
        hint="let it take a list of texts and return a list of the same length: for each text a "
        "list of paraphrases, which may be empty",
    )
