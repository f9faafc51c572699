"""Texts as they might have been written as well: words left out, swapped, replaced by others."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional

from fieldcraft.kinds.text.token_encoder import PAD_ID

CHANGED_TOKEN_FRACTION = (
    0.1  # share of the tokens that are left out, of those swapped, and of those replaced
)
N_NEIGHBORS = 8  # the nearest tokens that may stand for one
N_PROTECTED_TOKENS = 1  # tokens at the start, where many encoders have a mark


def sample_paraphrases(tokens: Tensor, paraphrases: Tensor) -> Tensor:
    """Each text as it is, or in one of the other ways to say it, all of them as likely.

    Args:
        tokens: shape (texts, length), -1 behind the end.
        paraphrases: shape (texts, ways, length); only -1 where a text has fewer ways.
    """
    length = max(tokens.shape[1], paraphrases.shape[2])
    originals, padded_paraphrases = (
        functional.pad(token_ids, (0, length - token_ids.shape[-1]), value=PAD_ID)
        for token_ids in (tokens[:, None], paraphrases)
    )
    n_choices = 1 + (paraphrases[..., 0] != PAD_ID).sum(1)
    choice = (torch.rand(len(tokens), device=tokens.device) * n_choices).long()
    return torch.cat([originals, padded_paraphrases], dim=1)[
        torch.arange(len(tokens), device=tokens.device), choice
    ]


def apply_token_noise(
    tokens: Tensor, augmentations: Collection[str], neighbor_ids: Tensor | None
) -> Tensor:
    """A batch of texts, each changed a little in ways that mostly leave what it says.

    After Wei and Zou, *EDA: Easy Data Augmentation Techniques*, 2019.

    Args:
        tokens: shape (texts, length), -1 behind the end.
        augmentations: what is done: ``swap``, ``drop``.
        neighbor_ids: for each token those with the nearest vectors, shape (tokens, nearest); without
            it none is replaced.
    """
    if "swap" in augmentations:
        tokens = swap_tokens(tokens)
    if neighbor_ids is not None:
        tokens = replace_tokens(tokens, neighbor_ids)
    return drop_tokens(tokens) if "drop" in augmentations else tokens


def find_changeable_tokens(tokens: Tensor) -> Tensor:
    """Where there are tokens that may be changed: not the first, not the last, none behind."""
    is_token = tokens != PAD_ID
    has_next = functional.pad(is_token[:, 1:], (0, 1))
    position = torch.arange(tokens.shape[1], device=tokens.device)
    return is_token & has_next & (position >= N_PROTECTED_TOKENS)


def drop_tokens(tokens: Tensor) -> Tensor:
    """Texts without some of their tokens; what follows moves up."""
    is_dropped = find_changeable_tokens(tokens) & (
        torch.rand(tokens.shape, device=tokens.device) < CHANGED_TOKEN_FRACTION
    )
    order = torch.argsort(is_dropped.to(torch.int8), dim=1, stable=True)
    return tokens.masked_fill(is_dropped, PAD_ID).gather(1, order)


def swap_tokens(tokens: Tensor) -> Tensor:
    """Texts in which some tokens have changed places with the next."""
    is_changeable = find_changeable_tokens(tokens)
    length = tokens.shape[1]
    position = torch.arange(length, device=tokens.device)
    is_swapped = (
        is_changeable
        & functional.pad(is_changeable[:, 1:], (0, 1))
        & (position % 2 == int(torch.randint(2, ())))
    )
    is_swapped &= torch.rand(tokens.shape, device=tokens.device) < CHANGED_TOKEN_FRACTION
    is_partner = functional.pad(is_swapped[:, :-1], (1, 0))
    order = position.expand_as(tokens) + is_swapped.long() - is_partner.long()
    return tokens.gather(1, order)


def replace_tokens(tokens: Tensor, neighbor_ids: Tensor) -> Tensor:
    """Texts in which tokens with near vectors stand for some."""
    is_replaced = find_changeable_tokens(tokens) & (
        torch.rand(tokens.shape, device=tokens.device) < CHANGED_TOKEN_FRACTION
    )
    neighbor_index = torch.randint(neighbor_ids.shape[1], tokens.shape, device=tokens.device)
    replacements = neighbor_ids[tokens.clamp(min=0), neighbor_index]
    return torch.where(is_replaced, replacements, tokens)


@torch.no_grad()
def find_nearest_tokens(vectors: Tensor) -> Tensor:
    """The tokens nearest to each by the angle between their vectors, shape (tokens, nearest).

    Args:
        vectors: of all tokens, shape (tokens, width).
    """
    unit_vectors = functional.normalize(vectors.float(), dim=1)
    n_neighbors = min(N_NEIGHBORS, len(unit_vectors) - 1)
    parts = [
        (part @ unit_vectors.T).topk(n_neighbors + 1).indices[:, 1:]
        for part in torch.split(unit_vectors, 1_024)
    ]
    return torch.cat(parts)
