"""Open ONNX models for onnxruntime, the same way for networks that predict and that encode."""

from __future__ import annotations

import onnxruntime

from fieldcraft.core.errors import BundleError


def open_session(name: str, data: bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """An ONNX model ready to run.

    Args:
        name: of its file, for errors.
        data: the model: given as bytes, it cannot make the runtime read other files as weights.
        threads: for one run; 0 leaves that to the runtime.

    Raises:
        BundleError: this is not an ONNX model that runs here.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised as an exception
    options.intra_op_num_threads = threads
    # Threads that wait by spinning win nothing on one row and take time from their neighbours.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BundleError(
            f"{name} cannot be loaded as an ONNX model",
            seen=str(error).splitlines()[0][:200],
            way_out="package the project again, or install a newer onnxruntime",
        ) from error
