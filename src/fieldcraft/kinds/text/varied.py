"""Training texts as a network reads them, changed in whatever ways were asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fieldcraft.contracts import Tensors
from fieldcraft.kinds.text.deep import PAD
from fieldcraft.kinds.text.pieces import said
from fieldcraft.kinds.text.typos import mistyped
from fieldcraft.kinds.text.variants import TYPOS

if TYPE_CHECKING:
    from fieldcraft.fit.network import FusedNetwork

KIND, INPUT, OTHERS = "text", "tokens", "variants"


def varied_texts(network: FusedNetwork, rows: Tensors) -> list[list[str]]:
    """For each column its texts as one epoch of a training might read them.

    Args:
        network: of which one input is ``tokens``.
        rows: encoded; training rows have other ways to say them with them, of other rows typos
            alone are known.

    Returns:
        A list for each column, empty if no network reads it token by token; no list at all where
        nothing is changed.
    """
    import torch

    from fieldcraft.kinds.text.net import TextNet

    net = network.nets[KIND] if INPUT in rows else None
    if not isinstance(net, TextNet) or not net.augments:
        return []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        tokens = net.varied({name: torch.as_tensor(array) for name, array in rows.items()})
    read = tokens.view(*rows[INPUT].shape[:2], -1).numpy()
    found: list[list[str]] = [[] for _ in range(net.columns)]
    for i, place in enumerate(net.places):
        texts = [said(net.rule, numbers[numbers != PAD]) for numbers in read[:, i]]
        if "typos" in net.augments and OTHERS not in rows:
            numbered = ((text, row % (1 + TYPOS)) for row, text in enumerate(texts))
            texts = [mistyped(text, number) if number else text for text, number in numbered]
        found[place] = texts
    return found
