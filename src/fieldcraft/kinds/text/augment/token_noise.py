"""Token-level augmentation: random deletion, swap and synonym replacement.

Wei & Zou, *EDA: Easy Data Augmentation Techniques for Boosting Performance on Text Classification
Tasks*, EMNLP 2019.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional

from fieldcraft.kinds.text.tokenization import PAD_ID

CHANGED_TOKEN_FRACTION = 0.1  # by each operation, as the paper recommends
N_NEIGHBORS = 8
N_PROTECTED_TOKENS = 1  # many encoders begin with a special token such as [CLS]


def sample_paraphrases(tokens: Tensor, paraphrases: Tensor) -> Tensor:
    """Draw for each text the original or one of its paraphrases, with equal probability.

    Args:
        tokens: shape (texts, length), padded with -1.
        paraphrases: shape (texts, paraphrases, length); only -1 where a text has fewer.
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
    """Apply the chosen token-level augmentations to a batch of texts.

    Args:
        tokens: shape (texts, length), padded with -1.
        augmentations: ``token_swap`` and ``token_dropout`` are applied, other names ignored.
        neighbor_ids: nearest neighbors of each token by embedding, shape (vocabulary, neighbors);
            None to replace no token.
    """
    if "token_swap" in augmentations:
        tokens = swap_tokens(tokens)
    if neighbor_ids is not None:
        tokens = replace_tokens(tokens, neighbor_ids)
    return drop_tokens(tokens) if "token_dropout" in augmentations else tokens


def find_changeable_tokens(tokens: Tensor) -> Tensor:
    """Return a mask of tokens that may change: all but the first, the last and padding."""
    # The last token is often special too ([SEP]). With both ends kept, no text loses all tokens.
    is_token = tokens != PAD_ID
    has_next = functional.pad(is_token[:, 1:], (0, 1))
    position = torch.arange(tokens.shape[1], device=tokens.device)
    return is_token & has_next & (position >= N_PROTECTED_TOKENS)


def drop_tokens(tokens: Tensor) -> Tensor:
    """Drop random tokens and close the gaps."""
    is_dropped = find_changeable_tokens(tokens) & (
        torch.rand(tokens.shape, device=tokens.device) < CHANGED_TOKEN_FRACTION
    )
    # A stable sort by the mask moves dropped tokens behind all others, which keep their order.
    order = torch.argsort(is_dropped.to(torch.int8), dim=1, stable=True)
    return tokens.masked_fill(is_dropped, PAD_ID).gather(1, order)


def swap_tokens(tokens: Tensor) -> Tensor:
    """Swap random tokens with the next one."""
    is_changeable = find_changeable_tokens(tokens)
    length = tokens.shape[1]
    position = torch.arange(length, device=tokens.device)
    # In each batch all pairs begin at even positions, or all at odd ones, so that no token is in
    # two pairs.
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
    """Replace random tokens by one of their nearest neighbors."""
    is_replaced = find_changeable_tokens(tokens) & (
        torch.rand(tokens.shape, device=tokens.device) < CHANGED_TOKEN_FRACTION
    )
    neighbor_index = torch.randint(neighbor_ids.shape[1], tokens.shape, device=tokens.device)
    replacements = neighbor_ids[tokens.clamp(min=0), neighbor_index]
    return torch.where(is_replaced, replacements, tokens)


@torch.no_grad()
def find_nearest_tokens(vectors: Tensor) -> Tensor:
    """Return the nearest neighbors of each token by cosine similarity, shape (tokens, neighbors).

    Args:
        vectors: embeddings of the vocabulary, shape (tokens, width).
    """
    unit_vectors = functional.normalize(vectors.float(), dim=1)
    n_neighbors = min(N_NEIGHBORS, len(unit_vectors) - 1)
    # In blocks, since all similarities of 30,000 tokens would take 3.6 GB. The nearest token of a
    # token is itself, so the first index is left out.
    parts = [
        (part @ unit_vectors.T).topk(n_neighbors + 1).indices[:, 1:]
        for part in torch.split(unit_vectors, 1_024)
    ]
    return torch.cat(parts)
