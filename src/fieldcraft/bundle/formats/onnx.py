"""ONNX, run by onnxruntime: the form that every bundle has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from fieldcraft.bundle.session import open_session
from fieldcraft.contracts import Array, Fitted
from fieldcraft.core import files

AT_ONCE = 512  # rows of one run: what is between layers stays near the processor, and little


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
        wanted = [item.name for item in session.get_inputs()]

        def run(inputs: Mapping[str, Array]) -> Array:
            given = {name: inputs[name] for name in wanted}
            rows = max(map(len, given.values()), default=0)
            if rows <= AT_ONCE:
                return np.asarray(session.run(["outputs"], given)[0])
            starts = range(0, rows, AT_ONCE)
            parts = [{name: a[at : at + AT_ONCE] for name, a in given.items()} for at in starts]
            return np.concatenate([session.run(["outputs"], part)[0] for part in parts])

        return run


FORMAT = OnnxFormat()
