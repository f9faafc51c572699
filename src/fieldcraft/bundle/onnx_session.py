"""Open ONNX models for onnxruntime, the same way for networks that predict and that encode."""

from __future__ import annotations

import onnxruntime

from fieldcraft.core.errors import BundleError


def open_onnx_session(
    file_name: str, model_bytes: bytes, n_threads: int = 0
) -> onnxruntime.InferenceSession:
    """An ONNX model ready to run.

    Args:
        file_name: of its file, for errors.
        model_bytes: the model: given as bytes, it cannot make the runtime read other files as weights.
        n_threads: for one run; 0 leaves that to the runtime.

    Raises:
        BundleError: this is not an ONNX model that runs here.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is raised as an exception
    options.intra_op_num_threads = n_threads
    # Threads that wait by spinning win nothing on one row and take time from their neighbours.
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
