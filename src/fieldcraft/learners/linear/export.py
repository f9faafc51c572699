"""The linear model as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

from fieldcraft.contracts import Array
from fieldcraft.learners.linear.design import FARTHEST

OPSET = 17
OPERATORS = {"softmax": "Softmax", "sigmoid": "Sigmoid", "identity": "Identity"}


def linear_onnx(arrays: Mapping[str, Array], activation: str) -> bytes:
    """A graph from a matrix to outputs: numbers times weights, plus a weight for each level."""
    columns = len(arrays["coded"])
    last = helper.make_node(OPERATORS[activation], [f"sum_{columns}"], ["outputs"])
    constants = {
        **arrays,
        "zero": np.float32(0),
        "half": np.float32(0.5),
        "low": np.float32(-FARTHEST),
        "high": np.float32(FARTHEST),
        "above": arrays["levels"].astype(np.float32) + np.float32(0.5),
        "first": arrays["first"].astype(np.float32),
        **{f"column_{i}": np.int64(i) for i in range(columns)},
    }
    del constants["levels"]
    nodes = [*number_steps(), *level_steps(columns), last]
    return finished(nodes, constants, arrays["weights"].shape[1])


def number_steps() -> list[NodeProto]:
    """Standardise, fill and cut off numbers, flag gaps, multiply: up to ``sum_0``."""
    node = helper.make_node
    return [
        node("Gather", ["matrix", "numeric"], ["picked"], axis=1),
        node("Sub", ["picked", "centre"], ["centred"]),
        node("Div", ["centred", "spread"], ["plain"]),
        node("Gather", ["matrix", "heavy"], ["long"], axis=1),
        node("Sub", ["long", "middle"], ["moved"]),
        node("Div", ["moved", "width"], ["wide"]),
        node("Asinh", ["wide"], ["tails"]),
        node("Concat", ["plain", "tails"], ["scaled"], axis=1),
        node("IsNaN", ["scaled"], ["empty"]),
        node("Where", ["empty", "zero", "scaled"], ["filled"]),
        node("Clip", ["filled", "low", "high"], ["numbers"]),
        node("Gather", ["matrix", "flagged"], ["checked"], axis=1),
        node("IsNaN", ["checked"], ["missing"]),
        node("Cast", ["missing"], ["flags"], to=TensorProto.FLOAT),
        node("Concat", ["numbers", "flags"], ["design"], axis=1),
        node("MatMul", ["design", "weights"], ["product"]),
        node("Add", ["product", "bias"], ["sum_0"]),
    ]


def level_steps(columns: int) -> list[NodeProto]:
    """Look up the weight of each level and add it, column by column, to ``sum_0``."""
    node = helper.make_node
    places = [
        node("Gather", ["matrix", "coded"], ["codes"], axis=1),
        node("Greater", ["codes", "half"], ["seen"]),
        node("Less", ["codes", "above"], ["listed"]),
        node("And", ["seen", "listed"], ["known"]),
        node("Add", ["codes", "first"], ["counted"]),
        node("Where", ["known", "counted", "zero"], ["place"]),
        node("Cast", ["place"], ["places"], to=TensorProto.INT64),
    ]
    sums = [
        step
        for i in range(columns)
        for step in (
            node("Gather", ["places", f"column_{i}"], [f"places_{i}"], axis=1),
            node("Gather", ["level_weights", f"places_{i}"], [f"part_{i}"], axis=0),
            node("Add", [f"sum_{i}", f"part_{i}"], [f"sum_{i + 1}"]),
        )
    ]
    return [*places, *sums] if columns else []


def finished(nodes: list[NodeProto], constants: Mapping[str, Any], width: int) -> bytes:
    """The nodes as a checked model."""
    start = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
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
