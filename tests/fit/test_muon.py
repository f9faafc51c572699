"""Muon's steps are orthogonal, of the size of AdamW's, and go downhill."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fieldcraft.fit import muon
from fieldcraft.fit.muon import RMS, Muon, orthogonal


@pytest.mark.parametrize("shape", [(4, 4), (3, 9), (9, 3), (1, 5)])
def test_a_step_has_singular_values_near_one_whatever_its_scale(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    for scale in (1e-6, 1.0, 1e6):
        values = np.linalg.svd(orthogonal(matrix * scale).numpy(), compute_uv=False)
        assert values.min() > 0.4  # the iteration is meant to end between 0.7 and 1.2
        assert values.max() < 1.4


def test_the_direction_is_that_of_the_closest_orthogonal_matrix() -> None:
    torch.manual_seed(0)
    matrix = torch.randn(6, 10)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    closest, found = u @ v, orthogonal(matrix)
    cosine = float((closest * found).sum() / (closest.norm() * found.norm()))
    assert cosine > 0.97


def test_steps_are_of_the_size_of_adamws_and_weights_decay() -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(16, 64))
    before = weight.detach().clone()
    weight.grad = torch.randn(16, 64)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    moved = weight.detach() - before * (1 - 0.1 * 0.5)
    assert float(moved.square().mean().sqrt()) == pytest.approx(0.1 * RMS, rel=0.3)


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


def test_matrices_without_a_gradient_stay() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    Muon([weight], lr=1.0, weight_decay=0.5).step()
    assert torch.equal(weight.detach(), torch.ones(2, 2))


def test_the_kernel_of_a_convolution_is_moved_as_a_matrix() -> None:
    torch.manual_seed(0)
    kernel = torch.nn.Parameter(torch.randn(8, 4, 3, 3))
    matrix = torch.nn.Parameter(kernel.detach().flatten(1).clone())
    kernel.grad = torch.randn(8, 4, 3, 3)
    matrix.grad = kernel.grad.flatten(1).clone()
    Muon([kernel, matrix], lr=0.1).step()
    torch.testing.assert_close(kernel.detach().flatten(1), matrix.detach())


@pytest.mark.parametrize("shape", [(8, 24), (72, 8), (16, 400)])
@pytest.mark.parametrize("rank", [2, 8])
def test_a_long_matrix_is_turned_as_any_other_even_if_most_of_it_is_nothing(
    shape: tuple[int, int], rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape[0], rank) @ torch.randn(rank, shape[1])
    found = orthogonal(matrix)
    monkeypatch.setattr(muon, "LONG", 1_000)
    torch.testing.assert_close(found, orthogonal(matrix), atol=1e-4, rtol=0)
