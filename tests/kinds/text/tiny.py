"""A pretrained encoder small enough for tests: a BERT of two layers with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from fieldcraft.kinds.text.deep import train_tokenizer
from tests.kinds.text.prose import prose


def tiny_encoder(folder: Path, seed: int = 0) -> Path:
    """Write the folder of a small BERT whose tokenizer knows the words of `prose`."""
    import polars as pl
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    rule = train_tokenizer([pl.Series(prose(200))])
    count = len(json.loads(rule)["model"]["vocab"])
    config = BertConfig(
        vocab_size=count, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(rule, "utf-8")
    return folder
