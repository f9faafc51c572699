"""Texts as rows of token numbers, for networks that read them word by word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.core.types import Array
from fieldcraft.kinds.text.tokenization import WindowTokenizer

TEXT_NETWORKS_FROM_SCRATCH = (
    "bag",
    "cnn",
    "rnn",
    "lstm",
    "gru",
    "transformer",
)  # trained from the ground up
VOCABULARY_SIZE = 8_192  # tokens of a tokenizer that is trained here
MAX_TOKENIZER_TEXTS = 100_000  # that it is trained on
LENGTH_QUANTILE = 0.99  # share of the training texts that fit
MIN_LENGTH_TOKENS, MAX_LENGTH_TOKENS = 8, 128  # tokens that are read
PAD_ID = -1  # behind the end of a text


@dataclass(frozen=True)
class TokenEncoder:
    """How texts become rows of token numbers.

    Attributes:
        tokenizer: cuts texts.
        has_fixed_length: rows are always as long as the longest that is read, however short the texts.
    """

    tokenizer: WindowTokenizer
    has_fixed_length: bool = False

    def encode(self, columns: Sequence[pl.Series]) -> Array:
        """Token numbers, shape (rows, columns, length), 32-bit integers; -1 behind the end.

        A text that is missing or empty has one token, number 0. The length is that of the longest
        text at hand, unless rows are always whole.
        """
        token_ids = [self.tokenize(column.fill_null("").to_list()) for column in columns]
        longest = max((len(ids) for column in token_ids for ids in column), default=1)
        length = self.tokenizer.window_length if self.has_fixed_length else longest
        rows = len(columns[0]) if columns else 0
        padded = np.full((rows, len(columns), length), PAD_ID, dtype=np.int32)
        for i, column in enumerate(token_ids):
            for row, ids in enumerate(column):
                padded[row, i, : len(ids)] = ids
        return padded

    def tokenize(self, texts: list[str]) -> list[Array]:
        """The token numbers of each text, none of them empty."""
        return [
            windows[0] if len(windows[0]) else np.zeros(1, dtype=np.int64)
            for windows in self.tokenizer(texts)
        ]


def fit_token_encoder(
    columns: Sequence[pl.Series], tokenizer_json: str, max_length: int, has_fixed_length: bool
) -> TokenEncoder:
    """Learn from training texts how long rows of token numbers must be.

    Args:
        columns: the texts.
        tokenizer_json: the tokenizer, as JSON text.
        max_length: tokens that may be read.
        has_fixed_length: see `Reading`.
    """
    tokenizer = WindowTokenizer(tokenizer_json, max_length, 1)
    lengths = [
        len(windows[0])
        for column in columns
        for windows in tokenizer(column.drop_nulls().to_list())
    ]
    length = int(np.quantile(lengths, LENGTH_QUANTILE)) if lengths else MIN_LENGTH_TOKENS
    return TokenEncoder(
        WindowTokenizer(tokenizer_json, min(max(length, MIN_LENGTH_TOKENS), max_length), 1),
        has_fixed_length,
    )


def train_tokenizer(columns: Sequence[pl.Series]) -> str:
    """A tokenizer trained on texts of any language: byte-level BPE, as JSON text.

    Sennrich et al., *Neural Machine Translation of Rare Words with Subword Units*, 2016, over
    bytes, so that there is no sign it cannot cut. Number 0 stands for nothing.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        min_frequency=2,
        special_tokens=["[PAD]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(iter_sample_texts(columns), trainer)
    return str(tokenizer.to_str())


def iter_sample_texts(columns: Sequence[pl.Series]) -> Iterator[str]:
    """The first texts of each column."""
    for column in columns:
        yield from column.drop_nulls().head(MAX_TOKENIZER_TEXTS // len(columns)).to_list()
