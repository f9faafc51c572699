"""Export the constant baseline to ONNX."""

from __future__ import annotations

import numpy as np
from onnx import helper

from fieldcraft.core.types import Array
from fieldcraft.learners._onnx import build_onnx_model


def build_constant_onnx(outputs: Array) -> bytes:
    """Build a graph that repeats the outputs for each row of a matrix."""
    nodes = [
        helper.make_node("Shape", ["matrix"], ["shape"]),
        helper.make_node("Slice", ["shape", "zero", "one"], ["n_rows"]),
        helper.make_node("Concat", ["n_rows", "n_outputs"], ["size"], axis=0),
        helper.make_node("Expand", ["constant", "size"], ["outputs"]),
    ]
    initializers = {
        "zero": np.array([0]),
        "one": np.array([1]),
        "n_outputs": np.array([len(outputs)]),
        "constant": outputs.astype(np.float32),
    }
    return build_onnx_model("constant", nodes, initializers, len(outputs))
