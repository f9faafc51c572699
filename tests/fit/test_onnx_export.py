"""An exported network has the same outputs for any number of rows."""

from __future__ import annotations

import logging

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from fieldcraft.core.types import Array
from fieldcraft.fit.network import FusedNetwork, IdentityNet
from fieldcraft.fit.onnx_export import export_network
from tests.fit.tiny_training import TRUNKS


class EmbeddingNet(nn.Module):
    """An encoder net over integer codes."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.feature_widths = ("codes",), (3,)
        self.table = nn.Embedding(5, 3)

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        embedding: Tensor = self.table(tensors["codes"][:, 0])
        return embedding


def make_inputs(count: int) -> dict[str, Array]:
    draw = np.random.default_rng(count)
    return {
        "x": draw.normal(size=(count, 2)).astype(np.float32),
        "codes": draw.integers(0, 5, (count, 1)),
    }


def test_outputs_are_the_same_for_any_number_of_rows() -> None:
    torch.manual_seed(0)
    nets = {"number": IdentityNet("x", 2), "category": EmbeddingNet()}
    network = FusedNetwork(nets, TRUNKS["tabm"], 3, lambda logits: logits.softmax(-1)).eval()
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    session = onnxruntime.InferenceSession(
        export_network(network, make_inputs(4)), providers=["CPUExecutionProvider"]
    )
    assert logger.level == level
    assert [item.name for item in session.get_inputs()] == ["codes", "x"]
    assert [item.name for item in session.get_outputs()] == ["outputs"]
    for count in (1, 2, 3, 500):
        inputs = make_inputs(count)
        expected = network({name: torch.as_tensor(array) for name, array in inputs.items()})
        outputs = session.run(["outputs"], inputs)[0]
        np.testing.assert_allclose(outputs, expected.detach().numpy(), atol=1e-6)
