"""Pretrained encoders of texts as PyTorch modules, and as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.core.errors import DataError
from fieldcraft.fit.finetuning import build_backbone_module, load_backbone_module
from fieldcraft.fit.onnx_export import export_module
from fieldcraft.kinds.text.tokenization import USES_CLS_TOKEN_KEY, read_pooling_config


class PooledTextBackbone(nn.Module):
    """An encoder whose last layer is pooled into one vector a text."""

    def __init__(self, body: nn.Module, uses_cls_token: bool) -> None:
        """Wrap a network of the library `transformers`.

        Args:
            body: gives vectors of tokens.
            uses_cls_token: the vector of the first token stands for the text, not the mean of all.
        """
        super().__init__()
        self.body = body
        self.uses_cls_token = uses_cls_token

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Vectors of texts, shape (texts, width).

        Args:
            tokens: numbers of tokens, shape (texts, length).
            mask: 1 where there is a token, 0 behind the end of a text; None: all are tokens.
        """
        attention_mask = torch.ones_like(tokens) if mask is None else mask
        hidden_states: Tensor = self.body(
            input_ids=tokens, attention_mask=attention_mask
        ).last_hidden_state
        if self.uses_cls_token:
            return hidden_states[:, 0]
        if mask is None:
            return hidden_states.mean(1)
        mask_weights = mask[..., None].to(hidden_states.dtype)
        return (hidden_states * mask_weights).sum(1) / mask_weights.sum(1).clamp_min(1)

    def attention(self, tokens: Tensor, mask: Tensor) -> Tensor | None:
        """Where the tokens that stand for a text look in the last layer, mean over its heads.

        Returns:
            Shape (texts, length); None where the network has no attention that it would tell.
        """
        outputs = self.body(input_ids=tokens, attention_mask=mask, output_attentions=True)
        attentions = getattr(outputs, "attentions", None)
        if (
            not attentions
            or attentions[-1] is None
            or attentions[-1].shape[2:] != 2 * tokens.shape[1:]
        ):
            return None
        mean_attention: Tensor = attentions[-1].mean(1)
        if self.uses_cls_token:
            return mean_attention[:, 0]
        mask_weights = mask[..., None].to(mean_attention.dtype)
        return (mean_attention * mask_weights).sum(1) / mask_weights.sum(1).clamp_min(1)


def load_text_backbone(folder: Path) -> PooledTextBackbone:
    """The encoder in a folder, with 32-bit weights, as its pooling file says to read it.

    Raises:
        DataError: the folder holds no encoder of texts that can be loaded.
    """
    return PooledTextBackbone(
        load_backbone_module(folder, lambda why: unusable_text_backbone_error(folder, why)),
        read_pooling_config(folder)[USES_CLS_TOKEN_KEY],
    )


def build_text_backbone(config: Mapping[str, Any]) -> PooledTextBackbone:
    """An encoder without its weights, for those that were learned further."""
    return PooledTextBackbone(
        build_backbone_module(config, [USES_CLS_TOKEN_KEY]), config[USES_CLS_TOKEN_KEY]
    )


def load_tokenizer_json(folder: Path) -> str:
    """The tokenizer of an encoder, as JSON text.

    Raises:
        DataError: the folder holds none that is fast enough to be one.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return str(tokenizer.backend_tokenizer.to_str())
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise unusable_text_backbone_error(folder, f"{type(error).__name__}: {error}") from error


def export_text_backbone(folder: Path) -> tuple[bytes, str]:
    """The encoder in a folder as an ONNX graph from ``tokens`` to a vector, and its tokenizer.

    Raises:
        DataError: the folder holds no encoder of texts that can be loaded.
    """
    length = torch.export.Dim("length", min=1, max=4_096)
    rows = torch.export.Dim("rows", min=1)
    example = torch.ones(2, 7, dtype=torch.long)
    module = load_text_backbone(folder)
    try:
        data = export_module(
            UnmaskedTextBackbone(module), [example], ["tokens"], ({0: rows, 1: length},)
        )
    except torch.onnx.OnnxExporterError as error:
        raise unusable_text_backbone_error(folder, f"{type(error).__name__}: {error}") from error
    return data, load_tokenizer_json(folder)


class UnmaskedTextBackbone(nn.Module):
    """An encoder of texts of which all tokens count."""

    def __init__(self, encoder: PooledTextBackbone) -> None:
        """Wrap an encoder."""
        super().__init__()
        self.encoder = encoder

    def forward(self, tokens: Tensor) -> Tensor:
        """Vectors of texts."""
        embeddings: Tensor = self.encoder(tokens)
        return embeddings


def unusable_text_backbone_error(folder: Path, reason: str) -> DataError:
    """The error for a folder without an encoder that can be used."""
    return DataError(
        f"the folder {folder.name} holds no encoder of texts that can be used",
        detail=reason.splitlines()[0][:200],
        hint="give the folder of an encoder such as BERT, RoBERTa, MiniLM or DistilBERT, with "
        "config.json, model.safetensors and tokenizer.json",
    )
