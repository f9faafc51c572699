"""The fused network joins encoder nets in one order and averages what members say."""

from __future__ import annotations

from functools import partial

import onnxruntime
import torch
from torch import Tensor, nn

from fieldcraft.fit.network import FusedNetwork, IdentityNet, TrunkFactory
from fieldcraft.fit.onnx_export import export_network
from fieldcraft.fit.optimizers import iter_hidden_matrices
from fieldcraft.fit.trunk import MLP, TabM


class EchoTrunk(nn.Module):
    """A trunk that says what it was given: the joined features, twice over as members."""

    def __init__(self, chunks: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.feature_widths = chunks

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x, -x], dim=1)


def make_fused_network(activate: object = None) -> FusedNetwork:
    nets = {"b": IdentityNet("beta", 2), "a": IdentityNet("alpha", 1)}
    return FusedNetwork(nets, EchoTrunk, 3, activate or (lambda raw: raw))  # type: ignore[arg-type]


TENSORS = {"alpha": torch.tensor([[1.0]]), "beta": torch.tensor([[2.0, 3.0]])}


def test_nets_are_joined_in_the_order_of_their_names() -> None:
    network = make_fused_network()
    assert network.inputs == ("alpha", "beta")
    assert network.trunk.feature_widths == (1, 1, 1)
    assert network.logits(TENSORS)[0, 0].tolist() == [1, 2, 3]


def test_members_are_averaged_after_they_are_activated() -> None:
    raw = torch.tensor([1.0, 2.0, 3.0])
    wanted = (raw.softmax(-1) + (-raw).softmax(-1)) / 2
    torch.testing.assert_close(
        make_fused_network(lambda found: found.softmax(-1))(TENSORS)[0], wanted
    )


def test_outputs_are_in_full_precision_whatever_the_trunk_computes_in() -> None:
    halves = {name: tensor.bfloat16() for name, tensor in TENSORS.items()}
    assert make_fused_network()(halves).dtype == torch.float32


def test_weights_have_the_same_names_in_whatever_order_nets_are_given() -> None:
    nets: dict[str, nn.Module] = {"a": IdentityNet("alpha", 1), "b": IdentityNet("beta", 2)}
    trunk = partial(MLP, hidden_sizes=(4,), dropout=0.0)
    one = FusedNetwork(nets, trunk, 2, lambda raw: raw)
    other = FusedNetwork(dict(reversed(nets.items())), trunk, 2, lambda raw: raw)
    assert list(one.state_dict()) == list(other.state_dict())
    assert one.inputs == other.inputs


def make_late_fusion_network() -> FusedNetwork:
    nets: dict[str, nn.Module] = {"a": IdentityNet("alpha", 1), "b": IdentityNet("beta", 2)}
    trunks: dict[str, TrunkFactory] = {
        "a": partial(MLP, hidden_sizes=(), dropout=0.0),
        "b": partial(TabM, n_members=4, hidden_size=8, n_layers=2, dropout=0.0),
    }
    return FusedNetwork(nets, trunks, 3, lambda raw: raw.softmax(-1))


def test_fused_late_each_kind_counts_alike_however_many_members_it_has() -> None:
    torch.manual_seed(0)
    network = make_late_fusion_network().eval()
    tensors = {"alpha": torch.randn(5, 1), "beta": torch.randn(5, 2)}
    raw = network.logits(tensors)
    assert raw.shape == (5, 8, 3)
    one = raw[:, :1].softmax(-1).mean(1)
    other = raw[:, 4:].softmax(-1).mean(1)
    torch.testing.assert_close(network(tensors), (one + other) / 2)
    changed = network.logits({**tensors, "beta": torch.zeros(5, 2)})
    torch.testing.assert_close(changed[:, :4], raw[:, :4])


def test_fused_late_it_is_exported_and_its_hidden_matrices_are_moved_by_muon() -> None:
    network = make_late_fusion_network().eval()
    assert len(list(iter_hidden_matrices(network))) == 2
    tensors = {"alpha": torch.randn(5, 1), "beta": torch.randn(5, 2)}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    session = onnxruntime.InferenceSession(
        export_network(network, arrays), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, arrays)[0]
    torch.testing.assert_close(torch.as_tensor(found), network(tensors), atol=1e-6, rtol=1e-5)
