"""Texts as tokens: what the tokenizer of a network makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fieldcraft.core import files
from fieldcraft.core.errors import MissingExtraError
from fieldcraft.core.types import Array
from fieldcraft.data.pretrained_weights import CONFIG_FILE

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DEFAULT_WINDOW_TOKENS = 256  # tokens of a window
DEFAULT_MAX_WINDOWS = 4  # of a long text that are read
MAX_CHARACTERS_PER_TOKEN = (
    16  # characters at most that are cut into tokens, for each token that is read
)
USES_CLS_TOKEN_KEY = "pool_first"  # entry of a configuration: the first token stands for the text


@dataclass(frozen=True)
class WindowTokenizer:
    """Cuts texts into tokens as a tokenizer does, in windows of some length.

    Attributes:
        tokenizer_json: the tokenizer, as the JSON text that the library `tokenizers` reads.
        window_length: tokens of a window at most, the marks at its ends counted.
        max_windows: of a text that are read.
    """

    tokenizer_json: str
    window_length: int = DEFAULT_WINDOW_TOKENS
    max_windows: int = DEFAULT_MAX_WINDOWS

    @cached_property
    def backend_tokenizer(self) -> Tokenizer:
        """The tokenizer, ready to be used.

        Raises:
            MissingExtraError: the library is not installed.
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
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.window_length)
        return tokenizer

    def __call__(self, texts: list[str]) -> list[list[Array]]:
        """The windows of each text, each an array of token numbers."""
        max_characters = self.window_length * self.max_windows * MAX_CHARACTERS_PER_TOKEN
        encodings = self.backend_tokenizer.encode_batch([text[:max_characters] for text in texts])
        return [
            [np.array(window.ids, dtype=np.int64) for window in (encoding, *encoding.overflowing)][
                : self.max_windows
            ]
            for encoding in encodings
        ]


def read_pooling_config(folder: Path) -> dict[str, Any]:
    """What the file on pooling says: whether the first token stands for the text."""
    path = folder / "1_Pooling" / CONFIG_FILE
    config = files.read_json(path) if path.is_file() else {}
    return {USES_CLS_TOKEN_KEY: bool(config.get("pooling_mode_cls_token"))}
