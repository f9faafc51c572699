"""A pretrained encoder small enough for tests: a BERT of two layers with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from fieldcraft.kinds.text.tokenization import train_tokenizer
from tests.kinds.text.sentences import make_texts


def write_tiny_backbone(folder: Path, seed: int = 0) -> Path:
    """Write the folder of a small BERT whose tokenizer is trained on `make_texts`."""
    import polars as pl
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    tokenizer_json = train_tokenizer([pl.Series(make_texts(200))])
    vocabulary_size = len(json.loads(tokenizer_json)["model"]["vocab"])
    config = BertConfig(
        vocab_size=vocabulary_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer_json, "utf-8")
    return folder
