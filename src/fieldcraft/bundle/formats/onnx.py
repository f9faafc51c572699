"""ONNX, run by onnxruntime: the form that every bundle has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from fieldcraft.bundle.session import open_session
from fieldcraft.contracts import Array, Fitted
from fieldcraft.core import files


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
        session = open_session(path.name, path.read_bytes())
        wanted = {item.name: item for item in session.get_inputs()}

        def run(inputs: Mapping[str, Array]) -> Array:
            given = {name: inputs[name] for name in wanted}
            return np.asarray(session.run(["outputs"], given)[0])

        return run


FORMAT = OnnxFormat()
