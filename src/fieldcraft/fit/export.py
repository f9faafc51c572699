"""A trained network as ONNX, with any number of rows a call."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fieldcraft.contracts import Array
from fieldcraft.fit.network import FusedNetwork

OUTPUT = "outputs"


class Positional(nn.Module):
    """A network whose named inputs are given in order, as ONNX wants them."""

    def __init__(self, network: FusedNetwork) -> None:
        """Wrap a network."""
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> Tensor:
        """Outputs for inputs in the order of ``network.inputs``."""
        outputs: Tensor = self.network(dict(zip(self.network.inputs, tensors, strict=True)))
        return outputs


def to_onnx(network: FusedNetwork, example: Mapping[str, Array]) -> bytes:
    """Export a network.

    Args:
        network: in evaluation mode, on the processor.
        example: a few encoded rows, which fix types and widths but not the number of rows.
    """
    rows = torch.export.Dim("rows", min=1)
    inputs = tuple(torch.as_tensor(example[name][:2]) for name in network.inputs)
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of torchvision, which nothing here needs
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                Positional(network).eval(),
                inputs,
                dynamo=True,
                input_names=list(network.inputs),
                output_names=[OUTPUT],
                dynamic_shapes=(tuple({0: rows} for _ in inputs),),
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    return bytes(program.model_proto.SerializeToString())
