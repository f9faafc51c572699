"""The fused network joins encoder nets in a fixed order and averages its members."""

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
    """A trunk of two members that return the joined features and their negatives."""

    def __init__(self, feature_widths: tuple[int, ...], n_outputs: int) -> None:
        super().__init__()
        self.feature_widths = feature_widths

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x, -x], dim=1)


def make_fused_network(activate: object = None) -> FusedNetwork:
    nets = {"b": IdentityNet("beta", 2), "a": IdentityNet("alpha", 1)}
    return FusedNetwork(nets, EchoTrunk, 3, activate or (lambda logits: logits))  # type: ignore[arg-type]


TENSORS = {"alpha": torch.tensor([[1.0]]), "beta": torch.tensor([[2.0, 3.0]])}


def test_nets_are_joined_in_the_order_of_their_names() -> None:
    network = make_fused_network()
    assert network.inputs == ("alpha", "beta")
    assert network.trunk.feature_widths == (1, 1, 1)
    assert network.logits(TENSORS)[0, 0].tolist() == [1, 2, 3]


def test_members_are_averaged_after_activation() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0])
    expected = (logits.softmax(-1) + (-logits).softmax(-1)) / 2
    torch.testing.assert_close(
        make_fused_network(lambda logits: logits.softmax(-1))(TENSORS)[0], expected
    )


def test_outputs_are_32_bit_floats_in_any_precision() -> None:
    halves = {name: tensor.bfloat16() for name, tensor in TENSORS.items()}
    assert make_fused_network()(halves).dtype == torch.float32


def test_weight_names_do_not_depend_on_the_order_of_nets() -> None:
    nets: dict[str, nn.Module] = {"a": IdentityNet("alpha", 1), "b": IdentityNet("beta", 2)}
    trunk = partial(MLP, hidden_sizes=(4,), dropout=0.0)
    first = FusedNetwork(nets, trunk, 2, lambda logits: logits)
    second = FusedNetwork(dict(reversed(nets.items())), trunk, 2, lambda logits: logits)
    assert list(first.state_dict()) == list(second.state_dict())
    assert first.inputs == second.inputs


def make_late_fusion_network() -> FusedNetwork:
    nets: dict[str, nn.Module] = {"a": IdentityNet("alpha", 1), "b": IdentityNet("beta", 2)}
    trunks: dict[str, TrunkFactory] = {
        "a": partial(MLP, hidden_sizes=(), dropout=0.0),
        "b": partial(TabM, n_members=4, hidden_size=8, n_layers=2, dropout=0.0),
    }
    return FusedNetwork(nets, trunks, 3, lambda logits: logits.softmax(-1))


def test_late_fusion_weights_kinds_equally_whatever_their_members() -> None:
    torch.manual_seed(0)
    network = make_late_fusion_network().eval()
    tensors = {"alpha": torch.randn(5, 1), "beta": torch.randn(5, 2)}
    logits = network.logits(tensors)
    assert logits.shape == (5, 8, 3)
    first_kind = logits[:, :1].softmax(-1).mean(1)
    second_kind = logits[:, 4:].softmax(-1).mean(1)
    torch.testing.assert_close(network(tensors), (first_kind + second_kind) / 2)
    changed = network.logits({**tensors, "beta": torch.zeros(5, 2)})
    torch.testing.assert_close(changed[:, :4], logits[:, :4])


def test_late_fusion_exports_and_has_hidden_matrices_for_muon() -> None:
    network = make_late_fusion_network().eval()
    assert len(list(iter_hidden_matrices(network))) == 2
    tensors = {"alpha": torch.randn(5, 1), "beta": torch.randn(5, 2)}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    session = onnxruntime.InferenceSession(
        export_network(network, arrays), providers=["CPUExecutionProvider"]
    )
    outputs = session.run(None, arrays)[0]
    torch.testing.assert_close(torch.as_tensor(outputs), network(tensors), atol=1e-6, rtol=1e-5)
