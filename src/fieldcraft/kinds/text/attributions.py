"""Attribute the output of a token-level network to words: integrated gradients and attention.

Integrated gradients (Sundararajan, Taly & Yan, ICML 2017) sum the gradient along the path from zero
embeddings to those of the text. Attention shows where the last layer looks, which need not be what
the output depends on (Jain & Wallace, NAACL 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fieldcraft.contracts import Output, Tensors
from fieldcraft.core.types import Array, Json
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.kinds.text.detokenize import decode_pieces, merge_into_words
from fieldcraft.kinds.text.net import TextNet, find_embedding_layers
from fieldcraft.kinds.text.tokenization import PAD_ID

KIND, INPUT_NAME = "text", "tokens"
INTEGRATION_STEPS, STEPS_PER_BATCH = 32, 8  # batches bound the memory of the gradients


def compute_text_attributions(
    network: FusedNetwork, tensors: Tensors, output_index: int, output: Output
) -> list[Json]:
    """Attribute an output to the words of each text of a row.

    Args:
        network: maps named tensors to outputs; one input is ``tokens``.
        tensors: one encoded row.
        output_index: index of the explained output.
        output: kind of output of the task.

    Returns:
        For each text column its ``spans`` by method; empty if the network reads no tokens.
    """
    if INPUT_NAME not in tensors:
        return []
    net = network.nets[KIND]
    assert isinstance(net, TextNet)
    inputs = {name: torch.as_tensor(array) for name, array in tensors.items()}
    weights_by_method = {
        "integrated_gradients": compute_token_gradients(network, net, inputs, output_index, output)
    }
    attention_weights = compute_attention(net, inputs[INPUT_NAME][0])
    if attention_weights is not None:
        weights_by_method["attention"] = attention_weights
    maps_by_column: list[Json] = [{} for _ in range(net.n_columns)]
    for i, column_index in enumerate(net.column_indices):
        token_ids = inputs[INPUT_NAME][0, i].numpy()
        token_texts = decode_pieces(net.tokenizer_json, token_ids[token_ids != PAD_ID])
        if any(piece and piece.strip() for piece in token_texts):
            maps_by_column[column_index] = {
                method: {"spans": build_weighted_spans(token_texts, token_weights[i])}
                for method, token_weights in weights_by_method.items()
            }
    return maps_by_column


def build_weighted_spans(token_texts: Sequence[str | None], weights: Array) -> list[list[Any]]:
    """Return the words of a text and their weights, scaled to a maximum of 1 in absolute value."""
    words = merge_into_words(token_texts, weights[: len(token_texts)].tolist())
    max_abs = max((abs(weight) for _, weight in words), default=0.0) or 1.0
    return [[word, round(weight / max_abs, 4)] for word, weight in words]


def compute_token_gradients(
    network: FusedNetwork,
    net: TextNet,
    inputs: dict[str, Tensor],
    output_index: int,
    output: Output,
) -> Array:
    """Return integrated gradients of each token, shape (texts, length).

    The logit is attributed, as the activation saturates at confident predictions; for classes the
    logit minus the mean logit, since softmax depends on differences only. Special tokens keep their
    embeddings along the path.
    """
    from captum.attr import IntegratedGradients  # of the extra `text`, as the nets that get here

    embedding_layers = find_embedding_layers(net.body)
    is_special = find_special_tokens(net, inputs[INPUT_NAME][0])

    def score(*vectors: Tensor) -> Tensor:
        expanded = {name: t.expand(len(vectors[0]), *t.shape[1:]) for name, t in inputs.items()}
        with override_embeddings(
            net, embedding_layers, [embedding.flatten(0, 1) for embedding in vectors]
        ):
            logits = network.logits(expanded).float().mean(1)
        return (
            logits[:, output_index] - logits.mean(1)
            if output == "probabilities"
            else logits[:, output_index]
        )

    embeddings = tuple(
        embedding[None]
        for embedding in lookup_embeddings(net, embedding_layers, inputs[INPUT_NAME][0])
    )
    baseline = tuple(
        torch.where(is_special[None, ..., None], embedding, 0.0) for embedding in embeddings
    )
    attributions: Any = IntegratedGradients(score).attribute(
        tuple(embedding.requires_grad_() for embedding in embeddings),
        baseline,
        n_steps=INTEGRATION_STEPS,
        internal_batch_size=STEPS_PER_BATCH,
    )
    return np.asarray(sum(embedding.detach()[0].sum(-1) for embedding in attributions).numpy())


def find_special_tokens(net: TextNet, tokens: Tensor) -> Tensor:
    """Return a mask of special tokens and padding, shape (texts, length)."""
    is_special = [
        [piece is None for piece in decode_pieces(net.tokenizer_json, token_ids.tolist())]
        for token_ids in tokens
    ]  # padding (-1) decodes to None too
    return torch.tensor(is_special)


@torch.no_grad()
def lookup_embeddings(
    net: TextNet, embedding_layers: Sequence[nn.Module], tokens: Tensor
) -> list[Tensor]:
    """Return the output of each embedding layer for the tokens."""
    # By forward hooks, as Hugging Face models look up their embeddings in an inner module.
    embeddings: dict[int, Tensor] = {}

    def save_output(index: int) -> Any:
        return lambda layer, args, output: embeddings.update({index: output.clone()})

    with ExitStack() as stack:
        for index, layer in enumerate(embedding_layers):
            stack.callback(layer.register_forward_hook(save_output(index)).remove)
        net.encode_padded(tokens.long())
    return [embeddings[index] for index in range(len(embedding_layers))]


@contextmanager
def override_embeddings(
    net: TextNet, embedding_layers: Sequence[nn.Module], embeddings: Sequence[Tensor]
) -> Iterator[None]:
    """Replace the outputs of embedding layers within the context."""

    def make_hook(embedding: Tensor) -> Any:
        return lambda layer, args, output: embedding  # replaces the output of the layer

    with ExitStack() as stack:
        for layer, embedding in zip(embedding_layers, embeddings, strict=True):
            stack.callback(layer.register_forward_hook(make_hook(embedding)).remove)
        # The net would sort texts by length, but the embeddings are in the original order.
        net.keep_order = True
        try:
            yield
        finally:
            net.keep_order = False


@torch.no_grad()
def compute_attention(net: TextNet, tokens: Tensor) -> Array | None:
    """Return attention weights, shape (texts, length); None if the network has no attention."""
    attention_method = getattr(net.body, "attention", None)
    if attention_method is None:
        return None
    token_ids = tokens.long()
    weights: Tensor | None = attention_method(token_ids.clamp(min=0), (token_ids != PAD_ID).long())
    return None if weights is None else np.asarray(weights.float().numpy())
