"""Changed texts stay texts: marks at the ends, no gaps, nothing behind the end."""

from __future__ import annotations

import torch

from fieldcraft.kinds.text.augment import changed, left_out, nearest, replaced, swapped
from fieldcraft.kinds.text.deep import PAD


def batch() -> torch.Tensor:
    """Texts of four to forty tokens, each token another number."""
    lengths = torch.arange(4, 41)
    place = torch.arange(40)[None, :]
    return torch.where(place < lengths[:, None], place + 100, PAD)


def test_first_and_last_tokens_and_what_is_behind_stay() -> None:
    torch.manual_seed(0)
    near = torch.arange(300)[:, None].expand(-1, 3)
    for _ in range(20):
        found = changed(batch(), near)
        assert (found[:, 0] == 100).all()
        for before, after in zip(batch(), found, strict=True):
            there = after[after != PAD]
            assert (after[: len(there)] != PAD).all()
            assert there[-1] == before[before != PAD][-1]
            assert set(there.tolist()) <= set(before.tolist())


def test_about_a_tenth_is_left_out_swapped_or_replaced() -> None:
    torch.manual_seed(1)
    tokens = batch()
    inside = int((tokens != PAD).sum()) - 2 * len(tokens)
    lost = sum(int((left_out(tokens) == PAD).sum() - (tokens == PAD).sum()) for _ in range(50))
    assert 0.08 < lost / 50 / inside < 0.12
    others = torch.full((300, 2), 7)
    new = sum(int((replaced(tokens, others) == 7).sum()) for _ in range(50))
    assert 0.08 < new / 50 / inside < 0.12
    moved = sum(int((swapped(tokens) != tokens).sum()) for _ in range(50))
    assert 0.05 < moved / 50 / inside < 0.15


def test_swapped_tokens_are_the_same_tokens() -> None:
    torch.manual_seed(2)
    tokens = batch()
    found = swapped(tokens)
    assert not torch.equal(found, tokens)
    assert torch.equal(found.sort(1).values, tokens.sort(1).values)


def test_the_nearest_tokens_point_the_same_way() -> None:
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.1, 3.0]])
    assert nearest(vectors)[:, 0].tolist() == [1, 0, 3, 2]
