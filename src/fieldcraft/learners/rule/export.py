"""The one rule as ONNX."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from fieldcraft.contracts import Array

OPSET = 17


def rule_onnx(arrays: Mapping[str, Array]) -> bytes:
    """A graph from a matrix to outputs: count the cuts below the value, look up the bin."""
    node = helper.make_node
    nodes = [
        node("Gather", ["matrix", "column"], ["value"], axis=1),
        node("Greater", ["value", "cuts"], ["above"]),
        node("Cast", ["above"], ["steps"], to=TensorProto.INT64),
        node("ReduceSum", ["steps", "across"], ["bin"], keepdims=1),
        node("IsNaN", ["value"], ["missing"]),
        node("Where", ["missing", "last", "bin"], ["found"]),
        node("Squeeze", ["found", "across"], ["place"]),
        node("Gather", ["table", "place"], ["outputs"], axis=0),
    ]
    constants = {
        **arrays,
        "across": np.array([1], dtype=np.int64),
        "last": np.array([len(arrays["table"]) - 1], dtype=np.int64),
    }
    start = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    width = arrays["table"].shape[1]
    graph = helper.make_graph(
        nodes,
        "rule",
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["rows", "columns"])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["rows", width])],
        start,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    checker.check_model(model)
    return bytes(model.SerializeToString())
