"""ReLU and dropout in one, whose draws are made ahead."""

from __future__ import annotations

import pytest
import torch

from fieldcraft.fit.dropout import ReluDropout


@pytest.mark.parametrize("share", [0.004, 0.1, 0.25, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_is_kept(share: float) -> None:
    torch.manual_seed(0)
    found = ReluDropout(share).train()(torch.ones(400_000))
    dropped = float((found == 0).float().mean())
    nearest = max(1, round(256 * share)) / 256
    assert dropped == pytest.approx(nearest, abs=0.003)
    assert float(found.mean()) == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(found[found > 0].max(), torch.tensor(1 / (1 - nearest)))
    torch.testing.assert_close(found[found > 0].min(), torch.tensor(1 / (1 - nearest)))


@pytest.mark.parametrize(("share", "training"), [(0.5, False), (0.0, True)])
def test_it_is_relu_alone_in_evaluation_or_at_share_zero(share: float, training: bool) -> None:
    x = torch.randn(33)
    assert torch.equal(ReluDropout(share).train(training)(x), x.relu())


def test_negative_numbers_become_zero() -> None:
    x = torch.randn(5_000)
    found = ReluDropout(0.25).train()(x)
    assert not found[x < 0].any()
    kept = found > 0
    torch.testing.assert_close(found[kept], x[kept] / 0.75)


@pytest.mark.parametrize("shape", [(1,), (7, 3), (5, 2, 3), (0, 4)])
def test_any_shape_is_taken(shape: tuple[int, ...]) -> None:
    assert ReluDropout(0.5).train()(torch.ones(shape)).shape == shape


def test_a_larger_batch_than_the_first_is_taken() -> None:
    layer = ReluDropout(0.5).train()
    assert [len(layer(torch.ones(rows))) for rows in (8, 999, 8)] == [8, 999, 8]


def test_numbers_that_share_a_draw_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (ReluDropout(0.5).train()(torch.ones(80_000)) > 0).float().reshape(-1, 8)
    apart = torch.corrcoef(kept.T) - torch.eye(8)
    assert float(apart.abs().max()) < 0.05


def test_steps_drop_independently_and_every_unit_as_often() -> None:
    torch.manual_seed(0)
    layer, x = ReluDropout(0.5).train(), torch.ones(3_000)
    kept = torch.stack([layer(x) > 0 for _ in range(60)]).float()
    apart = torch.corrcoef(kept) - torch.eye(60)
    assert float(apart.abs().max()) < 0.1
    assert float((kept.mean(0) - 0.5).abs().max()) < 0.5 * 60**-0.5 * 4.5  # standard errors


def test_the_seed_decides_what_is_dropped_from_the_start_of_an_epoch_on() -> None:
    layer, x = ReluDropout(0.5), torch.ones(999)
    ends = []
    for warm_up in (0, 3):
        layer.train()
        for _ in range(warm_up):
            layer(x)
        torch.manual_seed(1)
        layer.train()  # as every epoch begins
        ends.append([layer(x), layer(x)])
    (one, other), again = ends
    assert torch.equal(again[0], one)
    assert torch.equal(again[1], other)
    assert not torch.equal(other, one)


def test_gradients_flow_through_what_is_kept_only() -> None:
    torch.manual_seed(0)
    x = torch.randn(500, requires_grad=True)
    found = ReluDropout(0.3).train()(x)
    (slope,) = torch.autograd.grad(found.sum(), x)
    limit = round(256 * 0.3)
    torch.testing.assert_close(slope, (found.detach() > 0) * (256 / (256 - limit)))


def test_half_precision_stays_what_it_is() -> None:
    layer = ReluDropout(0.1).train()
    assert layer(torch.ones(5_000)).dtype == torch.float32
    found = layer(torch.ones(5_000, dtype=torch.bfloat16))
    assert found.dtype == torch.bfloat16
    assert float((found == 0).float().mean()) == pytest.approx(0.1, abs=0.02)
