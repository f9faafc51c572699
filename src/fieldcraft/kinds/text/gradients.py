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

from fieldcraft.contracts import Array, Json, Output, Tensors
from fieldcraft.fit.network import FusedNetwork
from fieldcraft.kinds.text.deep import PAD
from fieldcraft.kinds.text.net import TextNet, tables_of
from fieldcraft.kinds.text.pieces import by_word, pieces

KIND, INPUT = "text", "tokens"
STEPS, AT_ONCE = 32, 8  # from nothing to the text; of them, in one go


def maps(network: FusedNetwork, tensors: Tensors, chosen: int, output: Output) -> list[Json]:
    """Of each text of one row the maps by name, as ``spans``; none if no tokens are read.

    Args:
        network: from named tensors to outputs, of which one input is ``tokens``.
        tensors: one row, encoded.
        chosen: which output is explained.
        output: what the network gives.
    """
    if INPUT not in tensors:
        return []
    net = network.nets[KIND]
    assert isinstance(net, TextNet)
    given = {name: torch.as_tensor(array) for name, array in tensors.items()}
    weights = {"gradients": by_token(network, net, given, chosen, output)}
    seen = attention(net, given[INPUT][0])
    if seen is not None:
        weights["attention"] = seen
    found: list[Json] = [{} for _ in range(net.columns)]
    for i, place in enumerate(net.places):
        numbers = given[INPUT][0, i].numpy()
        said = pieces(net.rule, numbers[numbers != PAD])
        if any(piece and piece.strip() for piece in said):
            found[place] = {how: {"spans": spans(said, w[i])} for how, w in weights.items()}
    return found


def spans(said: Sequence[str | None], weights: Array) -> list[list[Any]]:
    """Words of a text and their weights, of which the heaviest is 1 or -1."""
    words = by_word(said, weights[: len(said)].tolist())
    most = max((abs(weight) for _, weight in words), default=0.0) or 1.0
    return [[word, round(weight / most, 4)] for word, weight in words]


def by_token(
    network: FusedNetwork, net: TextNet, given: dict[str, Tensor], chosen: int, output: Output
) -> Array:
    """Integrated gradients of each token, shape (texts, length).

    The output is traced before the activation, behind which sure predictions have no slope; that
    of a class as it stands above the mean of all classes. Marks stay what they are.
    """
    layers = tables_of(net.body)
    marks = marked(net, given[INPUT][0])

    def score(*vectors: Tensor) -> Tensor:
        rows = {name: t.expand(len(vectors[0]), *t.shape[1:]) for name, t in given.items()}
        with reading(net, layers, [part.flatten(0, 1) for part in vectors]):
            raw = network.raw(rows).float().mean(1)
        return raw[:, chosen] - raw.mean(1) if output == "probabilities" else raw[:, chosen]

    own = tuple(part[None] for part in looked_up(net, layers, given[INPUT][0]))
    nothing = tuple(torch.where(marks[None, ..., None], part, 0.0) for part in own)
    found: Any = IntegratedGradients(score).attribute(
        tuple(part.requires_grad_() for part in own), nothing, n_steps=STEPS,
        internal_batch_size=AT_ONCE,
    )  # fmt: skip
    return np.asarray(sum(part.detach()[0].sum(-1) for part in found).numpy())


def marked(net: TextNet, tokens: Tensor) -> Tensor:
    """Which tokens are marks, such as those at the ends, or none at all."""
    found = [
        [piece is None for piece in pieces(net.rule, text.tolist())] for text in tokens
    ]  # what is behind the end is no token
    return torch.tensor(found)


@torch.no_grad()
def looked_up(net: TextNet, layers: Sequence[nn.Module], tokens: Tensor) -> list[Tensor]:
    """The vectors that each of the tables gives of the tokens."""
    found: dict[int, Tensor] = {}

    def keep(number: int) -> Any:
        return lambda layer, given, vectors: found.update({number: vectors.clone()})

    with ExitStack() as stack:
        for number, layer in enumerate(layers):
            stack.callback(layer.register_forward_hook(keep(number)).remove)
        net.whole(tokens.long())
    return [found[number] for number in range(len(layers))]


@contextmanager
def reading(net: TextNet, layers: Sequence[nn.Module], vectors: Sequence[Tensor]) -> Iterator[None]:
    """While it lasts the tables give these vectors, and texts are read in their order."""

    def give(part: Tensor) -> Any:
        return lambda layer, given, vectors: part

    with ExitStack() as stack:
        for layer, part in zip(layers, vectors, strict=True):
            stack.callback(layer.register_forward_hook(give(part)).remove)
        net.in_order = True
        try:
            yield
        finally:
            net.in_order = False


@torch.no_grad()
def attention(net: TextNet, tokens: Tensor) -> Array | None:
    """How much of its attention each token has, shape (texts, length); None where there is none."""
    tell = getattr(net.body, "attention", None)
    if tell is None:
        return None
    numbers = tokens.long()
    found: Tensor | None = tell(numbers.clamp(min=0), (numbers != PAD).long())
    return None if found is None else np.asarray(found.float().numpy())
