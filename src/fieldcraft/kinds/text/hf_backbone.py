"""Pretrained text encoders as PyTorch modules and ONNX graphs."""

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
    """An encoder whose last hidden states are pooled into one embedding per text."""

    def __init__(self, body: nn.Module, uses_cls_token: bool) -> None:
        """Wrap a network of the library `transformers`.

        Args:
            body: returns hidden states of tokens.
            uses_cls_token: pool by the first token instead of the mean over tokens.
        """
        super().__init__()
        self.body = body
        self.uses_cls_token = uses_cls_token

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return embeddings of texts, shape (texts, width).

        Args:
            tokens: token IDs, shape (texts, length).
            mask: 1 for tokens, 0 for padding; None without padding.
        """
        attention_mask = torch.ones_like(tokens) if mask is None else mask
        hidden_states: Tensor = self.body(
            input_ids=tokens, attention_mask=attention_mask
        ).last_hidden_state
        if self.uses_cls_token:
            return hidden_states[:, 0]
        if mask is None:
            return hidden_states.mean(1)
        return masked_mean(hidden_states, mask)

    def attention(self, tokens: Tensor, mask: Tensor) -> Tensor | None:
        """Return the attention of the pooled tokens in the last layer, averaged over heads.

        Returns:
            Shape (texts, length); None where the network does not expose its attention.
        """
        outputs = self.body(input_ids=tokens, attention_mask=mask, output_attentions=True)
        attentions = getattr(outputs, "attentions", None)
        # Some architectures return attention of another shape (local windows) or none at all.
        if (
            not attentions
            or attentions[-1] is None
            or attentions[-1].shape[2:] != 2 * tokens.shape[1:]
        ):
            return None
        mean_attention: Tensor = attentions[-1].mean(1)
        if self.uses_cls_token:
            return mean_attention[:, 0]
        return masked_mean(mean_attention, mask)


def masked_mean(vectors: Tensor, mask: Tensor) -> Tensor:
    """Average vectors of tokens, shape (texts, length, width), over the tokens of each text."""
    mask_weights = mask[..., None].to(vectors.dtype)
    return (vectors * mask_weights).sum(1) / mask_weights.sum(1).clamp_min(1)


def load_text_backbone(folder: Path) -> PooledTextBackbone:
    """Load the encoder in a folder as float32, pooled as its configuration says.

    Raises:
        DataError: the folder holds no text encoder that can be loaded.
    """
    return PooledTextBackbone(
        load_backbone_module(folder, lambda reason: unusable_text_backbone_error(folder, reason)),
        read_pooling_config(folder)[USES_CLS_TOKEN_KEY],
    )


def build_text_backbone(config: Mapping[str, Any]) -> PooledTextBackbone:
    """Build an encoder from its configuration, to be filled with fine-tuned weights."""
    return PooledTextBackbone(
        build_backbone_module(config, [USES_CLS_TOKEN_KEY]), config[USES_CLS_TOKEN_KEY]
    )


def load_tokenizer_json(folder: Path) -> str:
    """Read the tokenizer of an encoder in the JSON format of the library `tokenizers`.

    Raises:
        DataError: the folder holds no tokenizer that can be converted to that format.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    # Older folders hold vocabulary files only, which `transformers` converts.
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        return str(tokenizer.backend_tokenizer.to_str())
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise unusable_text_backbone_error(folder, f"{type(error).__name__}: {error}") from error


def export_text_backbone(folder: Path) -> tuple[bytes, str]:
    """Export the encoder in a folder as an ONNX graph from ``tokens`` to embeddings.

    Returns:
        The graph, and the tokenizer as JSON.

    Raises:
        DataError: the folder holds no text encoder that can be exported.
    """
    # The bound is far above the longest window (`DEFAULT_WINDOW_TOKENS`).
    length = torch.export.Dim("length", min=1, max=4_096)
    rows = torch.export.Dim("rows", min=1)
    example = torch.ones(2, 7, dtype=torch.long)
    # Without a mask, since the runtime encodes each text alone: its embedding then never depends on
    # the other texts of a batch.
    module = load_text_backbone(folder)
    try:
        data = export_module(
            UnmaskedTextBackbone(module), [example], ["tokens"], ({0: rows, 1: length},)
        )
    except torch.onnx.OnnxExporterError as error:
        raise unusable_text_backbone_error(folder, f"{type(error).__name__}: {error}") from error
    return data, load_tokenizer_json(folder)


class UnmaskedTextBackbone(nn.Module):
    """A text encoder for inputs without padding."""

    def __init__(self, encoder: PooledTextBackbone) -> None:
        """Wrap an encoder."""
        super().__init__()
        self.encoder = encoder

    def forward(self, tokens: Tensor) -> Tensor:
        """Return embeddings of texts, shape (texts, width)."""
        embeddings: Tensor = self.encoder(tokens)
        return embeddings


def unusable_text_backbone_error(folder: Path, reason: str) -> DataError:
    """Build the error for a folder without a usable text encoder."""
    return DataError(
        f"the folder {folder.name} holds no usable text encoder",
        detail=reason.splitlines()[0][:200],
        hint="give the folder of an encoder such as BERT, RoBERTa, MiniLM or DistilBERT, with "
        "config.json, model.safetensors and tokenizer.json",
    )
