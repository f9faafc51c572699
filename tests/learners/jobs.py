"""Encoded rows made by hand, for tests of learners that read a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from fieldcraft.bundle.encoder_set import LazyEncodedRows
from fieldcraft.contracts import Encoded, Learner, Matrix, TrainingJob
from fieldcraft.core import catalog
from fieldcraft.core.types import Array


def encode_matrix(values: Any, levels: tuple[int, ...] | None = None) -> Encoded:
    """Rows of numbers, or of codes where a column has levels."""
    array = np.asarray(values, dtype=np.float32)
    names = tuple(f"c{i}" for i in range(array.shape[1]))
    return LazyEncodedRows(dict, lambda: Matrix(array, names, levels or (0,) * len(names)))


def no_nets(plain: bool) -> dict[str, Any]:
    """Encoder nets for learners that have no use for any."""
    return {}


def make_job(
    learner: str,
    x: Any,
    y: Array,
    levels: tuple[int, ...] | None = None,
    extra: dict[str, Any] | None = None,
    **options: Any,
) -> TrainingJob:
    """A job of which the last fifth of the rows is for tuning; classes or labels if y is whole."""
    plugin: Learner = catalog.load_plugin("learners", learner)
    name, target_spec = infer_task(np.asarray(y))
    cut = len(y) * 4 // 5
    x = np.asarray(x, dtype=np.float32)
    return TrainingJob(
        catalog.load_plugin("tasks", name), target_spec, plugin.options(**options), no_nets,
        train=encode_matrix(x[:cut], levels), train_y=y[:cut],
        validation=encode_matrix(x[cut:], levels), validation_y=y[cut:], **(extra or {}),
    )  # fmt: skip


def infer_task(y: Array) -> tuple[str, dict[str, Any]]:
    """The task that a target is for, and what that task says of it."""
    if y.ndim == 2:
        return "multilabel", {"labels": [f"label {k}" for k in range(y.shape[1])]}
    if y.dtype.kind != "i":
        return "regression", {}
    classes = [str(label) for label in range(int(y.max()) + 1)]
    return "binary" if len(classes) == 2 else "multiclass", {"classes": classes}


def run_onnx(model: bytes, rows: Encoded) -> Array:
    """Outputs of an exported model, run by onnxruntime."""
    session_options = onnxruntime.SessionOptions()
    session_options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model, session_options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(["outputs"], {"matrix": rows.matrix().values})[0])
