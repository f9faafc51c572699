"""Changed texts stay texts: marks at the ends, no gaps, nothing behind the end."""

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
from fieldcraft.kinds.text.token_encoder import PAD_ID


def build_batch() -> torch.Tensor:
    """Texts of four to forty tokens, each token another number."""
    lengths = torch.arange(4, 41)
    place = torch.arange(40)[None, :]
    return torch.where(place < lengths[:, None], place + 100, PAD_ID)


def test_first_and_last_tokens_and_what_is_behind_stay() -> None:
    torch.manual_seed(0)
    near = torch.arange(300)[:, None].expand(-1, 3)
    for _ in range(20):
        found = apply_token_noise(build_batch(), ("drop", "swap"), near)
        assert (found[:, 0] == 100).all()
        for before, after in zip(build_batch(), found, strict=True):
            there = after[after != PAD_ID]
            assert (after[: len(there)] != PAD_ID).all()
            assert there[-1] == before[before != PAD_ID][-1]
            assert set(there.tolist()) <= set(before.tolist())


def test_about_a_tenth_is_left_out_swapped_or_replaced() -> None:
    torch.manual_seed(1)
    tokens = build_batch()
    inside = int((tokens != PAD_ID).sum()) - 2 * len(tokens)
    lost = sum(
        int((drop_tokens(tokens) == PAD_ID).sum() - (tokens == PAD_ID).sum()) for _ in range(50)
    )
    assert 0.08 < lost / 50 / inside < 0.12
    others = torch.full((300, 2), 7)
    new = sum(int((replace_tokens(tokens, others) == 7).sum()) for _ in range(50))
    assert 0.08 < new / 50 / inside < 0.12
    moved = sum(int((swap_tokens(tokens) != tokens).sum()) for _ in range(50))
    assert 0.05 < moved / 50 / inside < 0.15


def test_swapped_tokens_are_the_same_tokens() -> None:
    torch.manual_seed(2)
    tokens = build_batch()
    found = swap_tokens(tokens)
    assert not torch.equal(found, tokens)
    assert torch.equal(found.sort(1).values, tokens.sort(1).values)


def test_the_nearest_tokens_point_the_same_way() -> None:
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.1, 3.0]])
    assert find_nearest_tokens(vectors)[:, 0].tolist() == [1, 0, 3, 2]


def test_only_what_is_asked_for_is_done() -> None:
    torch.manual_seed(3)
    tokens = build_batch()
    assert torch.equal(apply_token_noise(tokens, ("typos",), None), tokens)
    assert torch.equal(
        apply_token_noise(tokens, ("swap",), None).sort(1).values, tokens.sort(1).values
    )
    assert int((apply_token_noise(tokens, ("drop",), None) == PAD_ID).sum()) > int(
        (tokens == PAD_ID).sum()
    )


def test_a_text_or_one_of_its_variants_is_drawn_each_as_likely() -> None:
    torch.manual_seed(4)
    tokens = torch.tensor([[1, 2, PAD_ID]] * 3_000)
    variants = torch.tensor([[[3, 4, 5, 6], [7, PAD_ID, PAD_ID, PAD_ID], [PAD_ID] * 4]] * 3_000)
    found = sample_paraphrases(tokens, variants)
    assert found.shape == (3_000, 4)
    kinds = [found[found[:, 0] == first] for first in (1, 3, 7)]
    assert sum(map(len, kinds)) == 3_000
    assert all(900 < len(kind) < 1_100 for kind in kinds)
    assert {tuple(row) for row in kinds[0].tolist()} == {(1, 2, PAD_ID, PAD_ID)}
    assert {tuple(row) for row in kinds[1].tolist()} == {(3, 4, 5, 6)}


def test_a_text_without_variants_stays() -> None:
    tokens = torch.tensor([[1, 2, 3, 4, 5]])
    assert torch.equal(sample_paraphrases(tokens, torch.full((1, 2, 3), PAD_ID)), tokens)
