"""Boosted trees as ONNX."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

import lightgbm
import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

OPSET = 15


def trees_onnx(booster: lightgbm.Booster, columns: int) -> bytes:
    """A graph from a matrix to outputs of shape (rows, width)."""
    with redirect_stdout(io.StringIO()):  # the converter prints
        model = convert_lightgbm(
            booster,
            initial_types=[("matrix", FloatTensorType([None, columns]))],
            zipmap=False,
            target_opset=OPSET,
        )
    graph = model.graph
    scores = graph.output[-1]
    shape = numpy_helper.from_array(np.array([0, -1], dtype=np.int64), "two_sides")
    graph.initializer.append(shape)
    node: NodeProto = helper.make_node("Reshape", [scores.name, "two_sides"], ["outputs"])
    graph.node.append(node)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("outputs", TensorProto.FLOAT, [None, None]))
    return bytes(model.SerializeToString())
