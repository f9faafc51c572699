"""Muon follows its papers, and minimizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fieldcraft.core.types import Array
from fieldcraft.fit import muon
from fieldcraft.fit.muon import Muon, orthogonalize


def newton_schulz_reference(matrix: Array) -> Array:
    """The paper's iteration, which acts on singular values alone (Jordan et al., 2024)."""
    u, values, v = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)
    values /= np.linalg.norm(values)
    for _ in range(5):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return np.asarray(u * values @ v)


@pytest.mark.parametrize("shape", [(4, 4), (5, 9), (9, 5), (1, 5), (3, 9), (30, 4)])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_singular_values_go_through_the_polynomial_of_the_paper_five_times(
    shape: tuple[int, int], scale: float
) -> None:
    torch.manual_seed(0)
    matrix = scale * torch.randn(shape)
    np.testing.assert_allclose(
        orthogonalize(matrix).numpy(), newton_schulz_reference(matrix.numpy()), atol=2e-4
    )
    values = np.linalg.svd(orthogonalize(matrix).numpy(), compute_uv=False)
    assert 0.6 < values.min() <= values.max() < 1.25  # the iteration ends near 1


def test_a_zero_matrix_stays_zero() -> None:
    assert not orthogonalize(torch.zeros(3, 4)).any()


@pytest.mark.parametrize("shape", [(16, 64), (64, 16), (8, 9)])
def test_steps_use_nesterov_momentum_adamw_scale_and_weight_decay(
    shape: tuple[int, int],
) -> None:
    torch.manual_seed(0)
    rate, decay = 0.1, 0.5
    weight = torch.nn.Parameter(torch.randn(shape))
    optimizer = Muon([weight], lr=rate, weight_decay=decay)
    expected, momentum = weight.detach().double().numpy(), np.zeros(shape)
    for _ in range(3):
        weight.grad = torch.randn(shape)
        gradient = weight.grad.double().numpy()
        optimizer.step()
        momentum = 0.95 * momentum + 0.05 * gradient
        step = 0.2 * max(shape) ** 0.5 * newton_schulz_reference(0.05 * gradient + 0.95 * momentum)
        expected = expected * (1 - rate * decay) - rate * step
    np.testing.assert_allclose(weight.detach().numpy(), expected, atol=1e-3)
    assert float(np.sqrt(np.mean(step**2))) == pytest.approx(0.2, rel=0.3)


def test_muon_finds_the_least_squares_solution() -> None:
    torch.manual_seed(0)
    x, truth = torch.randn(200, 8), torch.randn(3, 8)
    y = x @ truth.T
    weight = torch.nn.Parameter(torch.zeros(3, 8))
    optimizer = Muon([weight], lr=0.05)
    for turn in range(300):
        optimizer.param_groups[0]["lr"] = 0.2 * (1 - turn / 300)
        optimizer.zero_grad()
        torch.autograd.backward((x @ weight.T - y).square().mean())
        optimizer.step()
    assert float((weight.detach() - truth).abs().max()) < 0.02


def test_matrices_without_a_gradient_do_not_change() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    Muon([weight], lr=1.0, weight_decay=0.5).step()
    assert torch.equal(weight.detach(), torch.ones(2, 2))


def test_a_convolution_kernel_is_updated_as_a_matrix() -> None:
    torch.manual_seed(0)
    kernel = torch.nn.Parameter(torch.randn(8, 4, 3, 3))
    matrix = torch.nn.Parameter(kernel.detach().flatten(1).clone())
    kernel.grad = torch.randn(8, 4, 3, 3)
    matrix.grad = kernel.grad.flatten(1).clone()
    Muon([kernel, matrix], lr=0.1).step()
    torch.testing.assert_close(kernel.detach().flatten(1), matrix.detach())


@pytest.mark.parametrize("shape", [(8, 24), (72, 8), (16, 400)])
@pytest.mark.parametrize("rank", [2, 8])
def test_long_matrices_are_orthogonalized_alike_even_with_low_rank(
    shape: tuple[int, int], rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape[0], rank) @ torch.randn(rank, shape[1])
    orthogonal = orthogonalize(matrix)
    monkeypatch.setattr(muon, "MIN_ASPECT_RATIO", 1_000)
    torch.testing.assert_close(orthogonal, orthogonalize(matrix), atol=1e-4, rtol=0)
