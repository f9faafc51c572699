"""A constant as ONNX."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from fieldcraft.core.types import Array

OPSET_VERSION = 17


def build_constant_onnx(outputs: Array) -> bytes:
    """A graph from a matrix to the same outputs for each of its rows."""
    initializers = [numpy_helper.from_array(np.array(value, dtype=np.int64), name) for name, value in (
        ("zero", [0]), ("one", [1]), ("width", [len(outputs)]),
    )]  # fmt: skip
    initializers.append(numpy_helper.from_array(outputs.astype(np.float32), "constant"))
    nodes = [
        helper.make_node("Shape", ["matrix"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["rows"]),
        helper.make_node("Concat", ["rows", "width"], ["size"], axis=0),
        helper.make_node("Expand", ["constant", "size"], ["outputs"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["rows_in", "columns"])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["rows_in", len(outputs)])],
        initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET_VERSION)], ir_version=8
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())
