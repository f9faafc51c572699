"""Which words a network goes by, by its own gradients, and where its attention lies.

Integrated gradients (Sundararajan, Taly & Yan, ICML 2017) add up what each token does on the way
from vectors of nothing to its own. Attention tells where the last layer looks, which need not be
what it goes by (Jain & Wallace, NAACL 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor, nn

from fieldcraft.contracts import Output, Tensors
from fieldcraft.core.types import Array, Json
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.kinds.text.detokenize import decode_pieces, merge_into_words
from fieldcraft.kinds.text.net import TextNet, find_embedding_layers
from fieldcraft.kinds.text.token_encoder import PAD_ID

KIND, INPUT_NAME = "text", "tokens"
INTEGRATION_STEPS, STEPS_PER_BATCH = 32, 8  # from nothing to the text; of them, in one go


def compute_text_attributions(
    network: FusedNetwork, tensors: Tensors, output_index: int, output: Output
) -> list[Json]:
    """Of each text of one row the maps by name, as ``spans``; none if no tokens are read.

    Args:
        network: from named tensors to outputs, of which one input is ``tokens``.
        tensors: one row, encoded.
        output_index: which output is explained.
        output: what the network gives.
    """
    if INPUT_NAME not in tensors:
        return []
    net = network.nets[KIND]
    assert isinstance(net, TextNet)
    inputs = {name: torch.as_tensor(array) for name, array in tensors.items()}
    weights_by_method = {
        "gradients": compute_token_gradients(network, net, inputs, output_index, output)
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
    """Words of a text and their weights, of which the heaviest is 1 or -1."""
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
    """Integrated gradients of each token, shape (texts, length).

    The output is traced before the activation, behind which sure predictions have no slope; that
    of a class as it stands above the mean of all classes. Marks stay what they are.
    """
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
        tuple(embedding.requires_grad_() for embedding in embeddings), baseline, n_steps=INTEGRATION_STEPS,
        internal_batch_size=STEPS_PER_BATCH,
    )  # fmt: skip
    return np.asarray(sum(embedding.detach()[0].sum(-1) for embedding in attributions).numpy())


def find_special_tokens(net: TextNet, tokens: Tensor) -> Tensor:
    """Which tokens are marks, such as those at the ends, or none at all."""
    is_special = [
        [piece is None for piece in decode_pieces(net.tokenizer_json, token_ids.tolist())]
        for token_ids in tokens
    ]  # what is behind the end is no token
    return torch.tensor(is_special)


@torch.no_grad()
def lookup_embeddings(
    net: TextNet, embedding_layers: Sequence[nn.Module], tokens: Tensor
) -> list[Tensor]:
    """The vectors that each of the tables gives of the tokens."""
    embeddings: dict[int, Tensor] = {}

    def save_output(index: int) -> Any:
        return lambda layer, given, vectors: embeddings.update({index: vectors.clone()})

    with ExitStack() as stack:
        for index, layer in enumerate(embedding_layers):
            stack.callback(layer.register_forward_hook(save_output(index)).remove)
        net.encode_padded(tokens.long())
    return [embeddings[index] for index in range(len(embedding_layers))]


@contextmanager
def override_embeddings(
    net: TextNet, embedding_layers: Sequence[nn.Module], embeddings: Sequence[Tensor]
) -> Iterator[None]:
    """While it lasts the tables give these vectors, and texts are read in their order."""

    def make_hook(embedding: Tensor) -> Any:
        return lambda layer, given, vectors: embedding

    with ExitStack() as stack:
        for layer, embedding in zip(embedding_layers, embeddings, strict=True):
            stack.callback(layer.register_forward_hook(make_hook(embedding)).remove)
        net.keep_order = True
        try:
            yield
        finally:
            net.keep_order = False


@torch.no_grad()
def compute_attention(net: TextNet, tokens: Tensor) -> Array | None:
    """How much of its attention each token has, shape (texts, length); None where there is none."""
    attention_method = getattr(net.body, "attention", None)
    if attention_method is None:
        return None
    token_ids = tokens.long()
    weights: Tensor | None = attention_method(token_ids.clamp(min=0), (token_ids != PAD_ID).long())
    return None if weights is None else np.asarray(weights.float().numpy())
