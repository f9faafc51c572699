"""The linear model as ONNX."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

from fieldcraft.contracts import Array

OPSET = 17


def linear_onnx(arrays: Mapping[str, Array], softmax: bool, farthest: float) -> bytes:
    """A graph from a matrix to outputs: standardise, fill, flag, one-hot, multiply, add."""
    node = helper.make_node
    nodes: list[NodeProto] = [
        node("Gather", ["matrix", "numeric"], ["picked"], axis=1),
        node("Sub", ["picked", "centre"], ["centred"]),
        node("Div", ["centred", "spread"], ["scaled"]),
        node("IsNaN", ["scaled"], ["empty"]),
        node("Where", ["empty", "zero", "scaled"], ["filled"]),
        node("Clip", ["filled", "low", "high"], ["numbers"]),
        node("Gather", ["matrix", "flagged"], ["checked"], axis=1),
        node("IsNaN", ["checked"], ["missing"]),
        node("Cast", ["missing"], ["flags"], to=TensorProto.FLOAT),
        node("Gather", ["matrix", "hot_column"], ["codes"], axis=1),
        node("Equal", ["codes", "hot_code"], ["equal"]),
        node("Cast", ["equal"], ["hot"], to=TensorProto.FLOAT),
        node("Concat", ["numbers", "flags", "hot"], ["design"], axis=1),
        node("MatMul", ["design", "weights"], ["product"]),
        node("Add", ["product", "bias"], ["raw"]),
        node("Softmax", ["raw"], ["outputs"], axis=1) if softmax else
        node("Identity", ["raw"], ["outputs"]),
    ]  # fmt: skip
    constants = {
        **arrays,
        "zero": np.float32(0),
        "low": np.float32(-farthest),
        "high": np.float32(farthest),
    }
    start = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    width = arrays["weights"].shape[1]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["rows", "columns"])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["rows", width])],
        start,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    checker.check_model(model)
    return bytes(model.SerializeToString())
