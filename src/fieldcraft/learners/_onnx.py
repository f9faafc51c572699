"""Build the ONNX models of learners whose input is a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, checker, helper, numpy_helper

OPSET_VERSION = 17
ML_OPSET_VERSION = 3  # of ai.onnx.ml; the first version whose tree ensembles take doubles
IR_VERSION = 8  # the one that came with opset 17; by default onnx writes its newest


def build_onnx_model(
    name: str,
    nodes: Sequence[NodeProto],
    initializers: Mapping[str, Any],
    n_outputs: int,
    n_columns: int | None = None,
) -> bytes:
    """Return a checked and serialized model with input ``matrix`` and output ``outputs``.

    Args:
        name: name of the graph.
        nodes: operators in topological order: each reads only what exists already.
        initializers: constants by name.
        n_outputs: number of columns of ``outputs``.
        n_columns: number of columns of ``matrix``; any if None.
    """
    tensors = [
        numpy_helper.from_array(np.asarray(value), tensor_name)
        for tensor_name, value in initializers.items()
    ]
    input_shape = ["rows", "columns" if n_columns is None else n_columns]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("matrix", TensorProto.FLOAT, input_shape)],
        [helper.make_tensor_value_info("outputs", TensorProto.FLOAT, ["rows", n_outputs])],
        tensors,
    )
    # Unused operator sets are not declared, because some runtimes refuse a domain they lack.
    domains = {"": OPSET_VERSION, "ai.onnx.ml": ML_OPSET_VERSION}
    used_domains = {"", *(node.domain for node in nodes)}
    opsets = [
        helper.make_opsetid(domain, version)
        for domain, version in domains.items()
        if domain in used_domains
    ]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
    checker.check_model(model)
    return bytes(model.SerializeToString())
