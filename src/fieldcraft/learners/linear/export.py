"""The linear model as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

from fieldcraft.core.types import Array
from fieldcraft.learners.linear.design import MAX_ABS_ZSCORE

OPSET_VERSION = 17
ACTIVATION_OPERATORS = {"softmax": "Softmax", "sigmoid": "Sigmoid", "identity": "Identity"}


def build_linear_onnx(arrays: Mapping[str, Array], activation: str) -> bytes:
    """A graph from a matrix to outputs: numbers times weights, plus a weight for each level."""
    n_categorical = len(arrays["coded"])
    activation_node = helper.make_node(
        ACTIVATION_OPERATORS[activation], [f"sum_{n_categorical}"], ["outputs"]
    )
    constants = {
        **arrays,
        "zero": np.float32(0),
        "half": np.float32(0.5),
        "low": np.float32(-MAX_ABS_ZSCORE),
        "high": np.float32(MAX_ABS_ZSCORE),
        "above": arrays["levels"].astype(np.float32) + np.float32(0.5),
        "first": arrays["first"].astype(np.float32),
        **{f"column_{i}": np.int64(i) for i in range(n_categorical)},
    }
    del constants["levels"]
    nodes = [*build_numeric_nodes(), *build_level_nodes(n_categorical), activation_node]
    return build_onnx_model(nodes, constants, arrays["weights"].shape[1])


def build_numeric_nodes() -> list[NodeProto]:
    """Standardise, fill and cut off numbers, flag gaps, multiply: up to ``sum_0``."""
    make_node = helper.make_node
    return [
        make_node("Gather", ["matrix", "numeric"], ["picked"], axis=1),
        make_node("Sub", ["picked", "centre"], ["centred"]),
        make_node("Div", ["centred", "spread"], ["plain"]),
        make_node("Gather", ["matrix", "heavy"], ["long"], axis=1),
        make_node("Sub", ["long", "middle"], ["moved"]),
        make_node("Div", ["moved", "width"], ["wide"]),
        make_node("Asinh", ["wide"], ["tails"]),
        make_node("Concat", ["plain", "tails"], ["scaled"], axis=1),
        make_node("IsNaN", ["scaled"], ["empty"]),
        make_node("Where", ["empty", "zero", "scaled"], ["filled"]),
        make_node("Clip", ["filled", "low", "high"], ["numbers"]),
        make_node("Gather", ["matrix", "flagged"], ["checked"], axis=1),
        make_node("IsNaN", ["checked"], ["missing"]),
        make_node("Cast", ["missing"], ["flags"], to=TensorProto.FLOAT),
        make_node("Concat", ["numbers", "flags"], ["design"], axis=1),
        make_node("MatMul", ["design", "weights"], ["product"]),
        make_node("Add", ["product", "bias"], ["sum_0"]),
    ]


def build_level_nodes(n_categorical: int) -> list[NodeProto]:
    """Look up the weight of each level and add it, column by column, to ``sum_0``."""
    make_node = helper.make_node
    position_nodes = [
        make_node("Gather", ["matrix", "coded"], ["codes"], axis=1),
        make_node("Greater", ["codes", "half"], ["seen"]),
        make_node("Less", ["codes", "above"], ["listed"]),
        make_node("And", ["seen", "listed"], ["known"]),
        make_node("Add", ["codes", "first"], ["counted"]),
        make_node("Where", ["known", "counted", "zero"], ["place"]),
        make_node("Cast", ["place"], ["places"], to=TensorProto.INT64),
    ]
    sum_nodes = [
        step
        for i in range(n_categorical)
        for step in (
            make_node("Gather", ["places", f"column_{i}"], [f"places_{i}"], axis=1),
            make_node("Gather", ["level_weights", f"places_{i}"], [f"part_{i}"], axis=0),
            make_node("Add", [f"sum_{i}", f"part_{i}"], [f"sum_{i + 1}"]),
        )
    ]
    return [*position_nodes, *sum_nodes] if n_categorical else []


def build_onnx_model(nodes: list[NodeProto], constants: Mapping[str, Any], n_outputs: int) -> bytes:
    """The nodes as a checked model."""
    initializers = [
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, ["rows", "columns"])],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["rows", n_outputs])],
        initializers,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET_VERSION)], ir_version=8
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())
