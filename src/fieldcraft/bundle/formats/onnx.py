"""ONNX, run by onnxruntime: the form that every bundle has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from fieldcraft.bundle.onnx_session import open_onnx_session
from fieldcraft.contracts import FittedModel
from fieldcraft.core import files
from fieldcraft.core.types import Array

MAX_RUN_ROWS = 512  # rows of one run: what is between layers stays near the processor, and little


class OnnxFormat:
    """Open Neural Network Exchange."""

    name = "onnx"
    suffix = ".onnx"

    def write(self, model: FittedModel, path: Path) -> None:
        """Write a trained model as one file."""
        files.atomic_write_bytes(path, model.to_onnx())

    def load(self, path: Path) -> Callable[[Mapping[str, Array]], Array]:
        """A function from named inputs to outputs, shape (rows, width).

        Raises:
            BundleError: the file is not an ONNX model that runs here.
        """
        session = open_onnx_session(path.name, path.read_bytes())
        input_names = [graph_input.name for graph_input in session.get_inputs()]

        def run_model(inputs: Mapping[str, Array]) -> Array:
            model_inputs = {name: inputs[name] for name in input_names}
            n_rows = max(map(len, model_inputs.values()), default=0)
            if n_rows <= MAX_RUN_ROWS:
                return np.asarray(session.run(["outputs"], model_inputs)[0])
            offsets = range(0, n_rows, MAX_RUN_ROWS)
            batches = [
                {
                    name: array[offset : offset + MAX_RUN_ROWS]
                    for name, array in model_inputs.items()
                }
                for offset in offsets
            ]
            return np.concatenate([session.run(["outputs"], batch)[0] for batch in batches])

        return run_model


FORMAT = OnnxFormat()
