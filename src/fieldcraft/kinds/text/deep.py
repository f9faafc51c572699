"""Texts as rows of token numbers, for networks that read them word by word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import Array
from fieldcraft.kinds.text.tokens import Tokens

SCRATCH = ("bag", "cnn", "rnn", "lstm", "gru", "transformer")  # trained from the ground up
VOCABULARY = 8_192  # tokens of a tokenizer that is trained here
MOST_TEXTS = 100_000  # that it is trained on
NEARLY_ALL = 0.99  # share of the training texts that fit
SHORTEST, LONGEST = 8, 128  # tokens that are read
PAD = -1  # behind the end of a text


@dataclass(frozen=True)
class Reading:
    """How texts become rows of token numbers.

    Attributes:
        tokens: cuts texts.
        whole: rows are always as long as the longest that is read, however short the texts.
    """

    tokens: Tokens
    whole: bool = False

    def encode(self, columns: Sequence[pl.Series]) -> Array:
        """Token numbers, shape (rows, columns, length), 32-bit integers; -1 behind the end.

        A text that is missing or empty has one token, number 0. The length is that of the longest
        text at hand, unless rows are always whole.
        """
        cut = [self.rows(column.fill_null("").to_list()) for column in columns]
        longest = max((len(ids) for column in cut for ids in column), default=1)
        length = self.tokens.length if self.whole else longest
        rows = len(columns[0]) if columns else 0
        found = np.full((rows, len(columns), length), PAD, dtype=np.int32)
        for i, column in enumerate(cut):
            for row, ids in enumerate(column):
                found[row, i, : len(ids)] = ids
        return found

    def rows(self, texts: list[str]) -> list[Array]:
        """The token numbers of each text, none of them empty."""
        return [w[0] if len(w[0]) else np.zeros(1, dtype=np.int64) for w in self.tokens(texts)]


def learn_reading(columns: Sequence[pl.Series], rule: str, most: int, whole: bool) -> Reading:
    """Learn from training texts how long rows of token numbers must be.

    Args:
        columns: the texts.
        rule: the tokenizer, as JSON text.
        most: tokens that may be read.
        whole: see `Reading`.
    """
    tokens = Tokens(rule, most, 1)
    lengths = [len(w[0]) for c in columns for w in tokens(c.drop_nulls().to_list())]
    needed = int(np.quantile(lengths, NEARLY_ALL)) if lengths else SHORTEST
    return Reading(Tokens(rule, min(max(needed, SHORTEST), most), 1), whole)


def train_tokenizer(columns: Sequence[pl.Series]) -> str:
    """A tokenizer trained on texts of any language: byte-level BPE, as JSON text.

    Sennrich et al., *Neural Machine Translation of Rare Words with Subword Units*, 2016, over
    bytes, so that there is no sign it cannot cut. Number 0 stands for nothing.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    found = Tokenizer(models.BPE())
    found.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    found.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=2,
        special_tokens=["[PAD]"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found.train_from_iterator(some_texts(columns), trainer)
    return str(found.to_str())


def some_texts(columns: Sequence[pl.Series]) -> Iterator[str]:
    """The first texts of each column."""
    for column in columns:
        yield from column.drop_nulls().head(MOST_TEXTS // len(columns)).to_list()
