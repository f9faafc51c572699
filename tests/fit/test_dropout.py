"""Fused ReLU and dropout with pooled random numbers."""

from __future__ import annotations

import pytest
import torch

from fieldcraft.fit.dropout import ReluDropout


@pytest.mark.parametrize("p", [0.004, 0.1, 0.25, 0.5, 0.9])
def test_the_probability_is_dropped_and_the_mean_is_kept(p: float) -> None:
    torch.manual_seed(0)
    outputs = ReluDropout(p).train()(torch.ones(400_000))
    dropped = float((outputs == 0).float().mean())
    nearest = max(1, round(256 * p)) / 256
    assert dropped == pytest.approx(nearest, abs=0.003)
    assert float(outputs.mean()) == pytest.approx(1, abs=0.02)
    torch.testing.assert_close(outputs[outputs > 0].max(), torch.tensor(1 / (1 - nearest)))
    torch.testing.assert_close(outputs[outputs > 0].min(), torch.tensor(1 / (1 - nearest)))


@pytest.mark.parametrize(("p", "training"), [(0.5, False), (0.0, True)])
def test_it_is_relu_in_evaluation_mode_or_without_dropout(p: float, training: bool) -> None:
    x = torch.randn(33)
    assert torch.equal(ReluDropout(p).train(training)(x), x.relu())


def test_negative_numbers_become_zero() -> None:
    x = torch.randn(5_000)
    outputs = ReluDropout(0.25).train()(x)
    assert not outputs[x < 0].any()
    is_kept = outputs > 0
    torch.testing.assert_close(outputs[is_kept], x[is_kept] / 0.75)


@pytest.mark.parametrize("shape", [(1,), (7, 3), (5, 2, 3), (0, 4)])
def test_any_shape_is_accepted(shape: tuple[int, ...]) -> None:
    assert ReluDropout(0.5).train()(torch.ones(shape)).shape == shape


def test_a_larger_batch_than_the_first_is_accepted() -> None:
    layer = ReluDropout(0.5).train()
    assert [len(layer(torch.ones(rows))) for rows in (8, 999, 8)] == [8, 999, 8]


def test_bytes_of_one_random_word_are_independent() -> None:
    torch.manual_seed(0)
    kept = (ReluDropout(0.5).train()(torch.ones(80_000)) > 0).float().reshape(-1, 8)
    correlations = torch.corrcoef(kept.T) - torch.eye(8)
    assert float(correlations.abs().max()) < 0.05


def test_steps_are_independent_and_units_equally_likely() -> None:
    torch.manual_seed(0)
    layer, x = ReluDropout(0.5).train(), torch.ones(3_000)
    kept = torch.stack([layer(x) > 0 for _ in range(60)]).float()
    correlations = torch.corrcoef(kept) - torch.eye(60)
    assert float(correlations.abs().max()) < 0.1
    assert float((kept.mean(0) - 0.5).abs().max()) < 0.5 * 60**-0.5 * 4.5  # standard errors


def test_the_seed_determines_the_masks_of_an_epoch() -> None:
    layer, x = ReluDropout(0.5), torch.ones(999)
    epochs = []
    for warm_up in (0, 3):
        layer.train()
        for _ in range(warm_up):
            layer(x)
        torch.manual_seed(1)
        layer.train()  # as every epoch begins
        epochs.append([layer(x), layer(x)])
    (first, second), repeated = epochs
    assert torch.equal(repeated[0], first)
    assert torch.equal(repeated[1], second)
    assert not torch.equal(second, first)


def test_gradients_flow_through_kept_elements_only() -> None:
    torch.manual_seed(0)
    x = torch.randn(500, requires_grad=True)
    outputs = ReluDropout(0.3).train()(x)
    (gradient,) = torch.autograd.grad(outputs.sum(), x)
    limit = round(256 * 0.3)
    torch.testing.assert_close(gradient, (outputs.detach() > 0) * (256 / (256 - limit)))


def test_the_dtype_is_kept() -> None:
    layer = ReluDropout(0.1).train()
    assert layer(torch.ones(5_000)).dtype == torch.float32
    outputs = layer(torch.ones(5_000, dtype=torch.bfloat16))
    assert outputs.dtype == torch.bfloat16
    assert float((outputs == 0).float().mean()) == pytest.approx(0.1, abs=0.02)
