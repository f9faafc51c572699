"""Texts as they might have been written as well: words left out, swapped, replaced by others."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional

from fieldcraft.kinds.text.deep import PAD

CHANGED = 0.1  # share of the tokens that are left out, of those swapped, and of those replaced
NEIGHBOURS = 8  # the nearest tokens that may stand for one
KEPT = 1  # tokens at the start, where many encoders have a mark


def drawn(tokens: Tensor, variants: Tensor) -> Tensor:
    """Each text as it is, or in one of the other ways to say it, all of them as likely.

    Args:
        tokens: shape (texts, length), -1 behind the end.
        variants: shape (texts, ways, length); only -1 where a text has fewer ways.
    """
    length = max(tokens.shape[1], variants.shape[2])
    own, others = (
        functional.pad(part, (0, length - part.shape[-1]), value=PAD)
        for part in (tokens[:, None], variants)
    )
    count = 1 + (variants[..., 0] != PAD).sum(1)
    which = (torch.rand(len(tokens), device=tokens.device) * count).long()
    return torch.cat([own, others], dim=1)[torch.arange(len(tokens), device=tokens.device), which]


def changed(tokens: Tensor, ways: Collection[str], neighbours: Tensor | None) -> Tensor:
    """A batch of texts, each changed a little in ways that mostly leave what it says.

    After Wei and Zou, *EDA: Easy Data Augmentation Techniques*, 2019.

    Args:
        tokens: shape (texts, length), -1 behind the end.
        ways: what is done: ``swap``, ``drop``.
        neighbours: for each token those with the nearest vectors, shape (tokens, nearest); without
            it none is replaced.
    """
    if "swap" in ways:
        tokens = swapped(tokens)
    if neighbours is not None:
        tokens = replaced(tokens, neighbours)
    return left_out(tokens) if "drop" in ways else tokens


def inner(tokens: Tensor) -> Tensor:
    """Where there are tokens that may be changed: not the first, not the last, none behind."""
    there = tokens != PAD
    after = functional.pad(there[:, 1:], (0, 1))
    place = torch.arange(tokens.shape[1], device=tokens.device)
    return there & after & (place >= KEPT)


def left_out(tokens: Tensor) -> Tensor:
    """Texts without some of their tokens; what follows moves up."""
    gone = inner(tokens) & (torch.rand(tokens.shape, device=tokens.device) < CHANGED)
    order = torch.argsort(gone.to(torch.int8), dim=1, stable=True)
    return tokens.masked_fill(gone, PAD).gather(1, order)


def swapped(tokens: Tensor) -> Tensor:
    """Texts in which some tokens have changed places with the next."""
    free = inner(tokens)
    length = tokens.shape[1]
    place = torch.arange(length, device=tokens.device)
    chosen = free & functional.pad(free[:, 1:], (0, 1)) & (place % 2 == int(torch.randint(2, ())))
    chosen &= torch.rand(tokens.shape, device=tokens.device) < CHANGED
    second = functional.pad(chosen[:, :-1], (1, 0))
    order = place.expand_as(tokens) + chosen.long() - second.long()
    return tokens.gather(1, order)


def replaced(tokens: Tensor, neighbours: Tensor) -> Tensor:
    """Texts in which tokens with near vectors stand for some."""
    chosen = inner(tokens) & (torch.rand(tokens.shape, device=tokens.device) < CHANGED)
    which = torch.randint(neighbours.shape[1], tokens.shape, device=tokens.device)
    others = neighbours[tokens.clamp(min=0), which]
    return torch.where(chosen, others, tokens)


@torch.no_grad()
def nearest(vectors: Tensor) -> Tensor:
    """The tokens nearest to each by the angle between their vectors, shape (tokens, nearest).

    Args:
        vectors: of all tokens, shape (tokens, width).
    """
    unit = functional.normalize(vectors.float(), dim=1)
    count = min(NEIGHBOURS, len(unit) - 1)
    parts = [(part @ unit.T).topk(count + 1).indices[:, 1:] for part in torch.split(unit, 1_024)]
    return torch.cat(parts)
