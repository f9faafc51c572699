"""The one rule as ONNX."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from fieldcraft.core.types import Array

OPSET_VERSION = 17


def build_rule_onnx(arrays: Mapping[str, Array]) -> bytes:
    """A graph from a matrix to outputs: count the cuts below the value, look up the bin."""
    make_node = helper.make_node
    nodes = [
        make_node("Gather", ["matrix", "column"], ["value"], axis=1),
        make_node("Greater", ["value", "cuts"], ["above"]),
        make_node("Cast", ["above"], ["steps"], to=TensorProto.INT64),
        make_node("ReduceSum", ["steps", "across"], ["bin"], keepdims=1),
        make_node("IsNaN", ["value"], ["missing"]),
        make_node("Where", ["missing", "last", "bin"], ["found"]),
        make_node("Squeeze", ["found", "across"], ["place"]),
        make_node("Gather", ["table", "place"], ["outputs"], axis=0),
    ]
    constants = {
        **arrays,
        "across": np.array([1], dtype=np.int64),
        "last": np.array([len(arrays["table"]) - 1], dtype=np.int64),
    }
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    n_outputs = arrays["table"].shape[1]
    graph = helper.make_graph(
        nodes,
        "rule",
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["rows", "columns"])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["rows", n_outputs])],
        initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET_VERSION)], ir_version=8
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())
