"""ONNX, run by onnxruntime: the form that every bundle has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnxruntime

from fieldcraft.contracts import Array, Fitted
from fieldcraft.core import files
from fieldcraft.core.errors import BundleError


class OnnxFormat:
    """Open Neural Network Exchange."""

    name = "onnx"
    suffix = ".onnx"

    def write(self, model: Fitted, path: Path) -> None:
        """Write a trained model as one file."""
        files.write_bytes(path, model.onnx())

    def load(self, path: Path) -> Callable[[Mapping[str, Array]], Array]:
        """A function from named inputs to outputs, shape (rows, width).

        Raises:
            BundleError: the file is not an ONNX model that runs here.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is raised as an exception
        # Threads that wait by spinning win nothing on one row and take time from their neighbours.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            # Given as bytes, a model cannot make the runtime read other files as its weights.
            session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise BundleError(
                f"{path.name} cannot be loaded as an ONNX model",
                seen=str(error).splitlines()[0][:200],
                way_out="package the project again, or install a newer onnxruntime",
            ) from error
        wanted = {item.name: item for item in session.get_inputs()}

        def run(inputs: Mapping[str, Array]) -> Array:
            given = {name: inputs[name] for name in wanted}
            return np.asarray(session.run(["outputs"], given)[0])

        return run


FORMAT = OnnxFormat()
