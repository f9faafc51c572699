"""Tokenize texts: windows for pretrained encoders, padded rows of token IDs for networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fieldcraft.core import files
from fieldcraft.core.errors import MissingExtraError
from fieldcraft.core.types import Array
from fieldcraft.data.pretrained_weights import CONFIG_FILE

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# all-MiniLM-L6-v2 truncates its input at 256 tokens; longer texts are read in several windows.
DEFAULT_WINDOW_TOKENS = 256
DEFAULT_MAX_WINDOWS = 4
# Texts are cut before they are tokenized, since one of 10 MB would take seconds. Tokens are shorter
# than this on average, so that the windows are full before the cut.
MAX_CHARACTERS_PER_TOKEN = 16
USES_CLS_TOKEN_KEY = "pool_first"  # our entry in the config of a backbone: pool by the first token
VOCABULARY_SIZE = 8_192  # of a tokenizer trained on the user's texts
MAX_TOKENIZER_TEXTS = 100_000  # bounds the time to train it
# Padding to the longest text would let one outlier set the cost of every batch.
LENGTH_QUANTILE = 0.99
MIN_LENGTH_TOKENS, MAX_LENGTH_TOKENS = 8, 128
PAD_ID = -1  # not 0, which is a token of pretrained vocabularies


@dataclass(frozen=True)
class WindowTokenizer:
    """Splits texts into windows of token IDs.

    Attributes:
        tokenizer_json: the tokenizer in the JSON format of the library `tokenizers`.
        window_length: maximum number of tokens in a window, special tokens included.
        max_windows: maximum number of windows per text; the rest of the text is ignored.
    """

    tokenizer_json: str
    window_length: int = DEFAULT_WINDOW_TOKENS
    max_windows: int = DEFAULT_MAX_WINDOWS

    @cached_property
    def backend_tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded on first use.

        Raises:
            MissingExtraError: the library `tokenizers` is not installed.
        """
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingExtraError(
                "the tokenizer of a pretrained encoder cannot run",
                detail="missing: tokenizers",
                hint='install it: pip install tokenizers (training needs "fieldcraft[text]")',
            ) from None

        tokenizer = Tokenizer.from_str(self.tokenizer_json)
        # The file of a pretrained tokenizer may switch on padding to a fixed length.
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.window_length)
        return tokenizer

    def __call__(self, texts: list[str]) -> list[list[Array]]:
        """Return the windows of each text, each an array of token IDs."""
        max_characters = self.window_length * self.max_windows * MAX_CHARACTERS_PER_TOKEN
        encodings = self.backend_tokenizer.encode_batch([text[:max_characters] for text in texts])
        return [
            [np.array(window.ids, dtype=np.int64) for window in (encoding, *encoding.overflowing)][
                : self.max_windows
            ]
            for encoding in encodings
        ]


def read_pooling_config(folder: Path) -> dict[str, Any]:
    """Read from the files of sentence-transformers whether texts are pooled by the first token."""
    path = folder / "1_Pooling" / CONFIG_FILE
    config = files.read_json(path) if path.is_file() else {}
    return {USES_CLS_TOKEN_KEY: bool(config.get("pooling_mode_cls_token"))}


@dataclass(frozen=True)
class TokenEncoder:
    """Encodes texts as padded rows of token IDs.

    Attributes:
        tokenizer: splits texts into tokens.
        has_fixed_length: pad every batch to the window length, not to its longest text.
    """

    tokenizer: WindowTokenizer
    has_fixed_length: bool = False

    def encode(self, columns: Sequence[pl.Series]) -> Array:
        """Return token IDs, shape (rows, columns, length), int32, padded with -1.

        A missing or empty text is one token with ID 0. The length is that of the longest text in
        `columns`, or the window length if `has_fixed_length`.
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
        """Return the token IDs of each text, at least one per text."""
        # A row of padding only would make means and softmax over its tokens undefined.
        return [
            windows[0] if len(windows[0]) else np.zeros(1, dtype=np.int64)
            for windows in self.tokenizer(texts)
        ]


def fit_token_encoder(
    columns: Sequence[pl.Series], tokenizer_json: str, max_length: int, has_fixed_length: bool
) -> TokenEncoder:
    """Fit the window length to the training texts.

    Args:
        columns: the training texts of each column.
        tokenizer_json: the tokenizer in the JSON format of the library `tokenizers`.
        max_length: upper bound of the window length, in tokens.
        has_fixed_length: see `TokenEncoder`.
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
    """Train a byte-level BPE tokenizer on texts of any language and return it as JSON.

    Sennrich et al., *Neural Machine Translation of Rare Words with Subword Units*, ACL 2016, over
    bytes as in GPT-2, so that no character is unknown. ID 0 is the padding token.
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
        # All 256 bytes, also those that occur in no training text but may in later ones.
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(iter_sample_texts(columns), trainer)
    return str(tokenizer.to_str())


def iter_sample_texts(columns: Sequence[pl.Series]) -> Iterator[str]:
    """Yield the first texts of each column, at most `MAX_TOKENIZER_TEXTS` in all."""
    for column in columns:
        yield from column.drop_nulls().head(MAX_TOKENIZER_TEXTS // len(columns)).to_list()
