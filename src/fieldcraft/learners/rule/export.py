"""Export the one-rule model to ONNX."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto, helper

from fieldcraft.core.types import Array
from fieldcraft.learners._onnx import build_onnx_model


def build_rule_onnx(arrays: Mapping[str, Array]) -> bytes:
    """Build a graph that counts the cuts below the value and looks up the outputs of the bin."""
    make_node = helper.make_node
    nodes = [
        make_node("Gather", ["matrix", "column"], ["value"], axis=1),
        make_node("Greater", ["value", "cuts"], ["above"]),
        make_node("Cast", ["above"], ["steps"], to=TensorProto.INT64),
        make_node("ReduceSum", ["steps", "axis"], ["present_bin"], keepdims=1),
        # NaN is above no cut and would fall into the first bin; its outputs are the last row.
        make_node("IsNaN", ["value"], ["is_missing"]),
        make_node("Where", ["is_missing", "missing_bin", "present_bin"], ["bin_column"]),
        make_node("Squeeze", ["bin_column", "axis"], ["bin"]),
        make_node("Gather", ["table", "bin"], ["outputs"], axis=0),
    ]
    initializers = {
        **arrays,
        "axis": np.array([1], dtype=np.int64),
        "missing_bin": np.array([len(arrays["table"]) - 1], dtype=np.int64),
    }
    return build_onnx_model("rule", nodes, initializers, arrays["table"].shape[1])
