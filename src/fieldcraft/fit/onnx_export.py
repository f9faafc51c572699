"""Export of a trained network to ONNX, with a dynamic number of rows."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.core.types import Array
from fieldcraft.fit.network import FusedNetwork

OUTPUT_NAME = "outputs"


class PositionalInputs(nn.Module):
    """A network that takes its inputs by position, as ONNX export requires."""

    def __init__(self, network: FusedNetwork) -> None:
        """Wrap a network."""
        super().__init__()
        self.network = network

    def forward(self, *tensors: Tensor) -> Tensor:
        """Outputs for inputs in the order of ``network.inputs``."""
        outputs: Tensor = self.network(dict(zip(self.network.inputs, tensors, strict=True)))
        return outputs


def export_network(network: FusedNetwork, example: Mapping[str, Array]) -> bytes:
    """Export a network to ONNX.

    Args:
        network: in evaluation mode, on the CPU.
        example: a few encoded rows, which fix dtypes and widths but not the number of rows.
    """
    # Two rows: torch.export treats sizes 0 and 1 as constants.
    inputs = [torch.as_tensor(example[name][:2]) for name in network.inputs]
    rows, extra_dims = torch.export.Dim("rows", min=1), {}
    for name, array in zip(network.inputs, inputs, strict=True):
        if name in network.sequence_inputs:
            extra_dims[name] = {array.ndim - 1: torch.export.Dim(f"{name}_length", min=1)}
    dynamic_shapes = (tuple({0: rows, **extra_dims.get(name, {})} for name in network.inputs),)
    return export_module(PositionalInputs(network), inputs, network.inputs, dynamic_shapes)


def export_module(
    module: nn.Module, inputs: Sequence[Tensor], input_names: Sequence[str], dynamic_shapes: Any
) -> bytes:
    """Export a module as an ONNX graph with one output ``outputs``.

    Args:
        module: takes tensors by position.
        inputs: example tensors.
        input_names: names of the inputs of the graph.
        dynamic_shapes: their dynamic axes, as `torch.export` takes them.
    """
    logger = logging.getLogger("torch.onnx")
    log_level = logger.level
    logger.setLevel(logging.ERROR)  # it warns that torchvision is missing, which is not needed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                tuple(inputs),
                dynamo=True,
                input_names=list(input_names),
                output_names=[OUTPUT_NAME],
                dynamic_shapes=dynamic_shapes,
                verbose=False,
            )
    finally:
        logger.setLevel(log_level)
    assert program is not None
    return bytes(program.model_proto.SerializeToString())
