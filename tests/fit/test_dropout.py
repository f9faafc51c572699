"""Dropout that shares its draws among eight numbers."""

from __future__ import annotations

import pytest
import torch

from fieldcraft.fit.dropout import Dropout


@pytest.mark.parametrize("share", [0.004, 0.1, 0.25, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_is_kept(share: float) -> None:
    torch.manual_seed(0)
    found = Dropout(share).train()(torch.ones(400_000))
    dropped = float((found == 0).float().mean())
    nearest = max(1, round(256 * share)) / 256
    assert dropped == pytest.approx(nearest, abs=0.003)
    assert float(found.mean()) == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(found[found > 0].max(), torch.tensor(1 / (1 - nearest)))
    torch.testing.assert_close(found[found > 0].min(), torch.tensor(1 / (1 - nearest)))


@pytest.mark.parametrize(("share", "training"), [(0.5, False), (0.0, True)])
def test_nothing_is_dropped_in_evaluation_or_at_share_zero(share: float, training: bool) -> None:
    x = torch.randn(33)
    assert Dropout(share).train(training)(x) is x


@pytest.mark.parametrize("shape", [(1,), (7, 3), (5, 2, 3), (0, 4)])
def test_any_shape_is_taken(shape: tuple[int, ...]) -> None:
    assert Dropout(0.5).train()(torch.ones(shape)).shape == shape


def test_numbers_that_share_a_draw_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5).train()(torch.ones(80_000)) > 0).float().reshape(-1, 8)
    apart = torch.corrcoef(kept.T) - torch.eye(8)
    assert float(apart.abs().max()) < 0.05


def test_the_seed_decides_what_is_dropped() -> None:
    layer, x = Dropout(0.5).train(), torch.ones(999)
    torch.manual_seed(1)
    one, other = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(layer(x), one)
    assert not torch.equal(other, one)


def test_gradients_flow_through_what_is_kept_only() -> None:
    torch.manual_seed(0)
    x = torch.ones(500, requires_grad=True)
    found = Dropout(0.3).train()(x)
    (slope,) = torch.autograd.grad(found.sum(), x)
    assert torch.equal(slope, found.detach())


def test_half_precision_stays_what_it_is() -> None:
    found = Dropout(0.1).train()(torch.ones(5_000, dtype=torch.bfloat16))
    assert found.dtype == torch.bfloat16
    assert float((found == 0).float().mean()) == pytest.approx(0.1, abs=0.02)
