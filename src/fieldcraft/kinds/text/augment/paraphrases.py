"""Other ways to say training texts: with typos, or as a function of the user's says them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array
from fieldcraft.kinds.text.augment.typos import add_typos
from fieldcraft.kinds.text.token_encoder import PAD_ID, TokenEncoder
from fieldcraft.kinds.text.tokenization import MAX_CHARACTERS_PER_TOKEN

N_TYPO_VARIANTS = 3  # mistyped ways to say a text
MAX_PARAPHRASES_PER_TEXT = 8  # ways to say a text that are kept
MAX_TOKEN_IDS = 100_000_000  # of tokens of all of them, 400 MB

Paraphraser = Callable[[list[str]], list[list[str]]]


def encode_paraphrases(
    token_encoder: TokenEncoder, columns: Sequence[pl.Series], paraphrasers: Sequence[Paraphraser]
) -> Array:
    """Token numbers of other ways to say texts, as `Reading.encode` gives those of the texts.

    Args:
        token_encoder: how texts become tokens.
        columns: training texts.
        paraphrasers: each from different texts to other ways to say each of them.

    Returns:
        Shape (rows, columns, ways, length), 32-bit integers; a text that has fewer ways than
        others has -1 for the rest.
    """
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
    """Mistyped ways to say texts, of which only what may be read is looked at."""
    max_characters = token_encoder.tokenizer.window_length * MAX_CHARACTERS_PER_TOKEN
    return lambda texts: [
        [add_typos(t[:max_characters], i) for i in range(N_TYPO_VARIANTS)] for t in texts
    ]


def load_paraphraser(name: str) -> Paraphraser:
    """Ways to say texts from a function of the user's.

    Args:
        name: ``package.module:function``; it takes all texts and returns for each a list of others.

    Raises:
        DataError: it cannot be imported.
    """
    module, _, function = name.partition(":")
    try:
        user_function: Any = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise DataError(
            f"the function {name} that says texts in other ways cannot be imported",
            detail=f"{type(error).__name__}: {error}",
            hint="set augment to package.module:function, of a package that is installed or "
            "whose folder is named in PYTHONPATH",
        ) from error

    def call_user_function(texts: list[str]) -> list[list[str]]:
        try:
            result = user_function(list(texts))
        except Exception as error:
            raise invalid_paraphraser_error(name, f"{type(error).__name__}: {error}") from error
        return validate_paraphrases(name, result, len(texts))

    return call_user_function


def validate_paraphrases(name: str, result: Any, n_texts: int) -> list[list[str]]:
    """What the user's function returned, if that is a list of texts for each text.

    Raises:
        DataError: it is not.
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
                name, f"a {type(invalid).__name__} among the ways to say text {number + 1}"
            )
    # Halves of signs, which Python lets stand alone, cannot be read.
    return [[item.encode(errors="replace").decode() for item in group] for group in result]


def invalid_paraphraser_error(name: str, detail: str) -> DataError:
    """The error for what a user's function did."""
    return DataError(
        f"the function {name} does not say texts in other ways",
        detail=detail,
        hint="let it take a list of texts and return a list as long: for each text a list of "
        "other ways to say it, which may be empty",
    )
