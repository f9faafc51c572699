"""Trunks: the MLP, and TabM, whose members share weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fieldcraft.fit.trunk import MLP, TabM, init_member_scales

FEATURE_WIDTHS = (1, 3, 1, 4)
X = torch.randn(11, sum(FEATURE_WIDTHS), generator=torch.Generator().manual_seed(0))


def make_tabm(members: int = 5, layers: int = 3, dropout: float = 0.2) -> TabM:
    torch.manual_seed(0)
    return TabM(
        FEATURE_WIDTHS, 2, n_members=members, hidden_size=6, n_layers=layers, dropout=dropout
    ).eval()


@pytest.mark.parametrize("rows", [3, 11])  # fewer and more than there are hidden units
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("layers", [1, 3])
def test_tabm_follows_its_paper(members: int, layers: int, training: bool, rows: int) -> None:
    trunk = make_tabm(members, layers, dropout=0.0).train(training)
    scaled = X[:rows, None] * trunk.input_scales  # each member has its own scales
    hidden = trunk.shared_layers(trunk.input_layer(scaled))
    expected = torch.einsum("rmh,mhw->rmw", hidden, trunk.head) + trunk.head_bias[:, 0]
    assert expected.shape == (rows, members, 2)
    torch.testing.assert_close(trunk(X[:rows]), expected, rtol=1e-4, atol=1e-5)


def test_heads_are_initialized_like_linear_layers() -> None:
    """Uniform within 1 / sqrt(inputs), as in torch.nn.Linear."""
    torch.manual_seed(0)
    trunk = TabM((1,), 5, n_members=8, hidden_size=64, n_layers=1, dropout=0.0)
    for weights in (trunk.head, trunk.head_bias):
        assert 0.11 < float(weights.detach().abs().max()) <= 64**-0.5
        assert float(weights.detach().std()) == pytest.approx(64**-0.5 / 3**0.5, rel=0.2)


def test_members_of_tabm_differ_from_the_start() -> None:
    outputs = make_tabm()(X)
    differences = (outputs[:, :, None] - outputs[:, None]).abs().amax(dim=(0, 3))
    assert bool((differences + torch.eye(5) > 1e-3).all())


@pytest.mark.parametrize("trunk", ["tabm", "mlp"])
def test_every_weight_gets_a_gradient(trunk: str) -> None:
    built: nn.Module = (
        make_tabm() if trunk == "tabm" else MLP(FEATURE_WIDTHS, 2, hidden_sizes=(6, 5), dropout=0.2)
    )
    torch.autograd.backward(built(X).square().sum())
    for name, weights in built.named_parameters():
        assert weights.grad is not None, name
        assert float(weights.grad.abs().sum()) > 0, name


def test_an_embedding_has_one_scale_and_a_number_a_sign() -> None:
    torch.manual_seed(0)
    scales = init_member_scales(64, 3)
    assert scales.shape == (64, 3)
    assert bool((scales == scales[:, :1]).all())
    assert len(set(scales[:, 0].tolist())) == 64
    signs = init_member_scales(64, 1)
    assert signs.shape == (64, 1)
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("layers", [(), (6,), (6, 5)])
def test_the_mlp_has_one_member(rows: int, layers: tuple[int, ...]) -> None:
    trunk = MLP(FEATURE_WIDTHS, 3, hidden_sizes=layers, dropout=0.2).eval()
    assert trunk(X[:rows]).shape == (rows, 1, 3)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_tabm_takes_any_number_of_rows(rows: int) -> None:
    torch.testing.assert_close(make_tabm()(X[:rows]), make_tabm()(X)[:rows])


def test_dropout_works_in_training_only() -> None:
    trunk = make_tabm()
    assert torch.equal(trunk(X), trunk(X))
    trunk.train()
    assert not torch.equal(trunk(X), trunk(X))
