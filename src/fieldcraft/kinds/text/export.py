"""Pretrained encoders of texts as PyTorch modules, and as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.core.errors import DataError
from fieldcraft.fit.export import graph_of
from fieldcraft.fit.pretrained import build_body, load_body
from fieldcraft.kinds.text.tokens import FIRST, files_said


class Pooled(nn.Module):
    """An encoder whose last layer is pooled into one vector a text."""

    def __init__(self, body: nn.Module, first: bool) -> None:
        """Wrap a network of the library `transformers`.

        Args:
            body: gives vectors of tokens.
            first: the vector of the first token stands for the text, not the mean of all.
        """
        super().__init__()
        self.body = body
        self.first = first

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Vectors of texts, shape (texts, width).

        Args:
            tokens: numbers of tokens, shape (texts, length).
            mask: 1 where there is a token, 0 behind the end of a text; None: all are tokens.
        """
        there = torch.ones_like(tokens) if mask is None else mask
        found: Tensor = self.body(input_ids=tokens, attention_mask=there).last_hidden_state
        if self.first:
            return found[:, 0]
        if mask is None:
            return found.mean(1)
        counted = mask[..., None].to(found.dtype)
        return (found * counted).sum(1) / counted.sum(1).clamp_min(1)

    def attention(self, tokens: Tensor, mask: Tensor) -> Tensor | None:
        """Where the tokens that stand for a text look in the last layer, mean over its heads.

        Returns:
            Shape (texts, length); None where the network has no attention that it would tell.
        """
        said = self.body(input_ids=tokens, attention_mask=mask, output_attentions=True)
        looks = getattr(said, "attentions", None)
        if not looks or looks[-1] is None or looks[-1].shape[2:] != 2 * tokens.shape[1:]:
            return None
        found: Tensor = looks[-1].mean(1)
        if self.first:
            return found[:, 0]
        counted = mask[..., None].to(found.dtype)
        return (found * counted).sum(1) / counted.sum(1).clamp_min(1)


def load_encoder(folder: Path) -> Pooled:
    """The encoder in a folder, with 32-bit weights, as its pooling file says to read it.

    Raises:
        DataError: the folder holds no encoder of texts that can be loaded.
    """
    return Pooled(load_body(folder, lambda why: unusable(folder, why)), files_said(folder)[FIRST])


def build_encoder(config: Mapping[str, Any]) -> Pooled:
    """An encoder without its weights, for those that were learned further."""
    return Pooled(build_body(config, [FIRST]), config[FIRST])


def tokenizer_of(folder: Path) -> str:
    """The tokenizer of an encoder, as JSON text.

    Raises:
        DataError: the folder holds none that is fast enough to be one.
    """
    rule = folder / "tokenizer.json"
    if rule.is_file():
        return rule.read_text(encoding="utf-8")
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return str(found.backend_tokenizer.to_str())
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise unusable(folder, f"{type(error).__name__}: {error}") from error


def export_encoder(folder: Path) -> tuple[bytes, str]:
    """The encoder in a folder as an ONNX graph from ``tokens`` to a vector, and its tokenizer.

    Raises:
        DataError: the folder holds no encoder of texts that can be loaded.
    """
    length = torch.export.Dim("length", min=1, max=4_096)
    rows = torch.export.Dim("rows", min=1)
    example = torch.ones(2, 7, dtype=torch.long)
    module = load_encoder(folder)
    try:
        data = graph_of(Whole(module), [example], ["tokens"], ({0: rows, 1: length},))
    except torch.onnx.OnnxExporterError as error:
        raise unusable(folder, f"{type(error).__name__}: {error}") from error
    return data, tokenizer_of(folder)


class Whole(nn.Module):
    """An encoder of texts of which all tokens count."""

    def __init__(self, encoder: Pooled) -> None:
        """Wrap an encoder."""
        super().__init__()
        self.encoder = encoder

    def forward(self, tokens: Tensor) -> Tensor:
        """Vectors of texts."""
        found: Tensor = self.encoder(tokens)
        return found


def unusable(folder: Path, why: str) -> DataError:
    """The error for a folder without an encoder that can be used."""
    return DataError(
        f"the folder {folder.name} holds no encoder of texts that can be used",
        seen=why.splitlines()[0][:200],
        way_out="give the folder of an encoder such as BERT, RoBERTa, MiniLM or DistilBERT, with "
        "config.json, model.safetensors and tokenizer.json",
    )
