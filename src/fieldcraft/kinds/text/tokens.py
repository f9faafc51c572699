"""Texts as tokens: what the tokenizer of a network makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fieldcraft.contracts import Array
from fieldcraft.core import files
from fieldcraft.core.errors import MissingExtraError
from fieldcraft.data.weights import CONFIG

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LENGTH = 256  # tokens of a window
WINDOWS = 4  # of a long text that are read
SIGNS_A_TOKEN = 16  # characters at most that are cut into tokens, for each token that is read
FIRST = "pool_first"  # entry of a configuration: the first token stands for the text


@dataclass(frozen=True)
class Tokens:
    """Cuts texts into tokens as a tokenizer does, in windows of some length.

    Attributes:
        rule: the tokenizer, as the JSON text that the library `tokenizers` reads.
        length: tokens of a window at most, the marks at its ends counted.
        windows: of a text that are read.
    """

    rule: str
    length: int = LENGTH
    windows: int = WINDOWS

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, ready to be used.

        Raises:
            MissingExtraError: the library is not installed.
        """
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise MissingExtraError(
                "the tokenizer of a pretrained encoder cannot run",
                seen="missing: tokenizers",
                way_out='install it: pip install tokenizers (training needs "fieldcraft[text]")',
            ) from None

        found = Tokenizer.from_str(self.rule)
        found.no_padding()
        found.enable_truncation(self.length)
        return found

    def __call__(self, texts: list[str]) -> list[list[Array]]:
        """The windows of each text, each an array of token numbers."""
        most = self.length * self.windows * SIGNS_A_TOKEN
        cut = self.tokenizer.encode_batch([text[:most] for text in texts])
        return [
            [np.array(part.ids, dtype=np.int64) for part in (whole, *whole.overflowing)][
                : self.windows
            ]
            for whole in cut
        ]


def files_said(folder: Path) -> dict[str, Any]:
    """What the file on pooling says: whether the first token stands for the text."""
    pooling = folder / "1_Pooling" / CONFIG
    said = files.read_json(pooling) if pooling.is_file() else {}
    return {FIRST: bool(said.get("pooling_mode_cls_token"))}
