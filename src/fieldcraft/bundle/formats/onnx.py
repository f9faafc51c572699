"""ONNX models, run by onnxruntime: the format of the members and the backbones of a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from fieldcraft.contracts import FittedModel
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError
from fieldcraft.core.types import Array

MAX_RUN_ROWS = 512  # of one run, so that activations stay small and in the processor's cache


def open_onnx_session(
    file_name: str, model_bytes: bytes, n_threads: int = 0
) -> onnxruntime.InferenceSession:
    """A session of onnxruntime for an ONNX model, which raises its errors and logs nothing.

    Args:
        file_name: for error messages.
        model_bytes: the model. Given as bytes and not as a path, it cannot make the runtime read
            other files as its weights.
        n_threads: threads of one run; 0 leaves the choice to onnxruntime.

    Raises:
        BundleError: this is not an ONNX model, or this onnxruntime does not run it.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, so they need not be printed too
    options.intra_op_num_threads = n_threads
    # Threads that spin while they wait gain nothing on one row and slow down other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            model_bytes, options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise BundleError(
            f"{file_name} cannot be loaded as an ONNX model",
            detail=str(error).splitlines()[0][:200],
            hint="package the project again, or install a newer onnxruntime",
        ) from error


class OnnxFormat:
    """Open Neural Network Exchange (ONNX)."""

    name = "onnx"
    suffix = ".onnx"

    def write(self, model: FittedModel, path: Path) -> None:
        """Write a fitted model as one file."""
        files.atomic_write_bytes(path, model.to_onnx())

    def load(self, path: Path) -> Callable[[Mapping[str, Array]], Array]:
        """A function from named inputs to outputs, shape (rows, outputs).

        Raises:
            BundleError: the file is not an ONNX model, or this onnxruntime does not run it.
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
