"""Augmented tokens keep their ends, have no gaps, and nothing in the padding."""

from __future__ import annotations

import torch

from fieldcraft.kinds.text.augment.token_noise import (
    apply_token_noise,
    drop_tokens,
    find_nearest_tokens,
    replace_tokens,
    sample_paraphrases,
    swap_tokens,
)
from fieldcraft.kinds.text.tokenization import PAD_ID


def build_batch() -> torch.Tensor:
    """Return texts of 4 to 40 tokens, all distinct within a text."""
    lengths = torch.arange(4, 41)
    position = torch.arange(40)[None, :]
    return torch.where(position < lengths[:, None], position + 100, PAD_ID)


def test_first_and_last_tokens_and_padding_are_kept() -> None:
    torch.manual_seed(0)
    neighbor_ids = torch.arange(300)[:, None].expand(-1, 3)
    for _ in range(20):
        changed = apply_token_noise(build_batch(), ("token_dropout", "token_swap"), neighbor_ids)
        assert (changed[:, 0] == 100).all()
        for before, after in zip(build_batch(), changed, strict=True):
            remaining = after[after != PAD_ID]
            assert (after[: len(remaining)] != PAD_ID).all()
            assert remaining[-1] == before[before != PAD_ID][-1]
            assert set(remaining.tolist()) <= set(before.tolist())


def test_about_a_tenth_of_tokens_is_dropped_swapped_or_replaced() -> None:
    torch.manual_seed(1)
    tokens = build_batch()
    n_changeable = int((tokens != PAD_ID).sum()) - 2 * len(tokens)
    n_dropped = sum(
        int((drop_tokens(tokens) == PAD_ID).sum() - (tokens == PAD_ID).sum()) for _ in range(50)
    )
    assert 0.08 < n_dropped / 50 / n_changeable < 0.12
    neighbor_ids = torch.full((300, 2), 7)
    n_replaced = sum(int((replace_tokens(tokens, neighbor_ids) == 7).sum()) for _ in range(50))
    assert 0.08 < n_replaced / 50 / n_changeable < 0.12
    n_swapped = sum(int((swap_tokens(tokens) != tokens).sum()) for _ in range(50))
    assert 0.05 < n_swapped / 50 / n_changeable < 0.15


def test_swapping_keeps_the_tokens() -> None:
    torch.manual_seed(2)
    tokens = build_batch()
    changed = swap_tokens(tokens)
    assert not torch.equal(changed, tokens)
    assert torch.equal(changed.sort(1).values, tokens.sort(1).values)


def test_nearest_tokens_are_by_cosine_similarity() -> None:
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.1, 3.0]])
    assert find_nearest_tokens(vectors)[:, 0].tolist() == [1, 0, 3, 2]


def test_only_chosen_augmentations_are_applied() -> None:
    torch.manual_seed(3)
    tokens = build_batch()
    assert torch.equal(apply_token_noise(tokens, ("typos",), None), tokens)
    assert torch.equal(
        apply_token_noise(tokens, ("token_swap",), None).sort(1).values, tokens.sort(1).values
    )
    assert int((apply_token_noise(tokens, ("token_dropout",), None) == PAD_ID).sum()) > int(
        (tokens == PAD_ID).sum()
    )


def test_text_and_its_paraphrases_are_equally_likely() -> None:
    torch.manual_seed(4)
    tokens = torch.tensor([[1, 2, PAD_ID]] * 3_000)
    paraphrases = torch.tensor([[[3, 4, 5, 6], [7, PAD_ID, PAD_ID, PAD_ID], [PAD_ID] * 4]] * 3_000)
    changed = sample_paraphrases(tokens, paraphrases)
    assert changed.shape == (3_000, 4)
    groups = [changed[changed[:, 0] == first] for first in (1, 3, 7)]
    assert sum(map(len, groups)) == 3_000
    assert all(900 < len(group) < 1_100 for group in groups)
    assert {tuple(row) for row in groups[0].tolist()} == {(1, 2, PAD_ID, PAD_ID)}
    assert {tuple(row) for row in groups[1].tolist()} == {(3, 4, 5, 6)}


def test_text_without_paraphrases_is_unchanged() -> None:
    tokens = torch.tensor([[1, 2, 3, 4, 5]])
    assert torch.equal(sample_paraphrases(tokens, torch.full((1, 2, 3), PAD_ID)), tokens)
