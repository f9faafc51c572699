"""The fused network joins encoder nets in one order and averages what members say."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from fieldcraft.fit.network import FusedNetwork, PassNet
from fieldcraft.fit.trunk import Mlp


class Told(nn.Module):
    """A trunk that says what it was given: the joined features, twice over as members."""

    def __init__(self, chunks: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.chunks = chunks

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x, -x], dim=1)


def fused(activate: object = None) -> FusedNetwork:
    nets = {"b": PassNet("beta", 2), "a": PassNet("alpha", 1)}
    return FusedNetwork(nets, Told, 3, activate or (lambda raw: raw))  # type: ignore[arg-type]


TENSORS = {"alpha": torch.tensor([[1.0]]), "beta": torch.tensor([[2.0, 3.0]])}


def test_nets_are_joined_in_the_order_of_their_names() -> None:
    network = fused()
    assert network.inputs == ("alpha", "beta")
    assert network.trunk.chunks == (1, 1, 1)
    assert network.raw(TENSORS)[0, 0].tolist() == [1, 2, 3]


def test_members_are_averaged_after_they_are_activated() -> None:
    raw = torch.tensor([1.0, 2.0, 3.0])
    wanted = (raw.softmax(-1) + (-raw).softmax(-1)) / 2
    torch.testing.assert_close(fused(lambda found: found.softmax(-1))(TENSORS)[0], wanted)


def test_outputs_are_in_full_precision_whatever_the_trunk_computes_in() -> None:
    halves = {name: tensor.bfloat16() for name, tensor in TENSORS.items()}
    assert fused()(halves).dtype == torch.float32


def test_weights_have_the_same_names_in_whatever_order_nets_are_given() -> None:
    nets: dict[str, nn.Module] = {"a": PassNet("alpha", 1), "b": PassNet("beta", 2)}
    trunk = partial(Mlp, layers=(4,), dropout=0.0)
    one = FusedNetwork(nets, trunk, 2, lambda raw: raw)
    other = FusedNetwork(dict(reversed(nets.items())), trunk, 2, lambda raw: raw)
    assert list(one.state_dict()) == list(other.state_dict())
    assert one.inputs == other.inputs
