"""Encoded rows made by hand, for tests of learners that read a matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from fieldcraft.bundle.encoders import Views
from fieldcraft.contracts import Array, Encoded, Job, Learner, Matrix
from fieldcraft.core import catalogue


def matrix(values: Any, levels: tuple[int, ...] | None = None) -> Encoded:
    """Rows of numbers, or of codes where a column has levels."""
    array = np.asarray(values, dtype=np.float32)
    names = tuple(f"c{i}" for i in range(array.shape[1]))
    return Views(dict, lambda: Matrix(array, names, levels or (0,) * len(names)))


def no_nets(plain: bool) -> dict[str, Any]:
    """Encoder nets for learners that have no use for any."""
    return {}


def make_job(
    learner: str,
    x: Any,
    y: Array,
    levels: tuple[int, ...] | None = None,
    more: dict[str, Any] | None = None,
    **options: Any,
) -> Job:
    """A job of which the last fifth of the rows is for tuning; classes or labels if y is whole."""
    plug: Learner = catalogue.load("learners", learner)
    name, about = task_for(np.asarray(y))
    cut = len(y) * 4 // 5
    x = np.asarray(x, dtype=np.float32)
    return Job(
        catalogue.load("tasks", name), about, plug.options(**options), no_nets,
        train=matrix(x[:cut], levels), train_y=y[:cut],
        tune=matrix(x[cut:], levels), tune_y=y[cut:], **(more or {}),
    )  # fmt: skip


def task_for(y: Array) -> tuple[str, dict[str, Any]]:
    """The task that a target is for, and what that task says of it."""
    if y.ndim == 2:
        return "multilabel", {"labels": [f"label {k}" for k in range(y.shape[1])]}
    if y.dtype.kind != "i":
        return "regression", {}
    classes = [str(label) for label in range(int(y.max()) + 1)]
    return "binary" if len(classes) == 2 else "multiclass", {"classes": classes}


def run_onnx(model: bytes, rows: Encoded) -> Array:
    """Outputs of an exported model, run by onnxruntime."""
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, quiet, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["outputs"], {"matrix": rows.matrix().values})[0])
