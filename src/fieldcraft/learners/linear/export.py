"""Export the linear model to ONNX."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import NodeProto, TensorProto, helper

from fieldcraft.core.types import Array
from fieldcraft.learners._onnx import build_onnx_model
from fieldcraft.learners.linear.design import MAX_ABS_ZSCORE

ACTIVATION_OPERATORS = {"softmax": "Softmax", "sigmoid": "Sigmoid", "identity": "Identity"}


def build_linear_onnx(arrays: Mapping[str, Array], activation: str) -> bytes:
    """Build a graph from a matrix to outputs: numbers times weights, plus a weight per level."""
    n_categorical = len(arrays["categorical"])
    activation_node = helper.make_node(
        ACTIVATION_OPERATORS[activation], [f"sum_{n_categorical}"], ["outputs"]
    )
    initializers = {
        **arrays,
        "zero": np.float32(0),
        "half": np.float32(0.5),
        "min_zscore": np.float32(-MAX_ABS_ZSCORE),
        "max_zscore": np.float32(MAX_ABS_ZSCORE),
        "code_limit": arrays["n_levels"].astype(np.float32) + np.float32(0.5),
        "level_offset": arrays["level_offset"].astype(np.float32),
        **{f"column_{i}": np.int64(i) for i in range(n_categorical)},
    }
    del initializers["n_levels"]
    nodes = [*build_numeric_nodes(), *build_level_nodes(n_categorical), activation_node]
    return build_onnx_model("linear", nodes, initializers, arrays["weights"].shape[1])


def build_numeric_nodes() -> list[NodeProto]:
    """Standardize, fill and clip numbers, flag missing values, multiply: up to ``sum_0``."""
    make_node = helper.make_node
    return [
        make_node("Gather", ["matrix", "numeric"], ["numeric_values"], axis=1),
        make_node("Sub", ["numeric_values", "mean"], ["centered"]),
        make_node("Div", ["centered", "std"], ["standardized"]),
        make_node("Gather", ["matrix", "heavy_tailed"], ["tail_values"], axis=1),
        make_node("Sub", ["tail_values", "median"], ["tail_centered"]),
        make_node("Div", ["tail_centered", "iqr"], ["tail_scaled"]),
        make_node("Asinh", ["tail_scaled"], ["tails"]),
        make_node("Concat", ["standardized", "tails"], ["scaled"], axis=1),
        # NaN must be replaced before Clip, whose result for NaN ONNX does not define.
        make_node("IsNaN", ["scaled"], ["is_nan"]),
        make_node("Where", ["is_nan", "zero", "scaled"], ["filled"]),
        make_node("Clip", ["filled", "min_zscore", "max_zscore"], ["numbers"]),
        make_node("Gather", ["matrix", "with_missing"], ["flagged_values"], axis=1),
        make_node("IsNaN", ["flagged_values"], ["is_missing"]),
        make_node("Cast", ["is_missing"], ["flags"], to=TensorProto.FLOAT),
        make_node("Concat", ["numbers", "flags"], ["design"], axis=1),
        make_node("MatMul", ["design", "weights"], ["product"]),
        make_node("Add", ["product", "bias"], ["sum_0"]),
    ]


def build_level_nodes(n_categorical: int) -> list[NodeProto]:
    """Look up the weights of each level and add them, column by column, to ``sum_0``."""
    make_node = helper.make_node
    position_nodes = [
        make_node("Gather", ["matrix", "categorical"], ["codes"], axis=1),
        make_node("Greater", ["codes", "half"], ["is_positive"]),
        make_node("Less", ["codes", "code_limit"], ["is_below_limit"]),
        make_node("And", ["is_positive", "is_below_limit"], ["is_known"]),
        make_node("Add", ["codes", "level_offset"], ["shifted_codes"]),
        make_node("Where", ["is_known", "shifted_codes", "zero"], ["float_positions"]),
        make_node("Cast", ["float_positions"], ["positions"], to=TensorProto.INT64),
    ]
    # One look-up per column, because a one-hot matrix would have rows x levels entries.
    sum_nodes = [
        step
        for i in range(n_categorical)
        for step in (
            make_node("Gather", ["positions", f"column_{i}"], [f"positions_{i}"], axis=1),
            make_node("Gather", ["level_weights", f"positions_{i}"], [f"part_{i}"], axis=0),
            make_node("Add", [f"sum_{i}", f"part_{i}"], [f"sum_{i + 1}"]),
        )
    ]
    return [*position_nodes, *sum_nodes] if n_categorical else []
