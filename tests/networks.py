"""Networks over one column of texts or photos: fitted, kept, restored, exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl

from fieldcraft.bundle.encoders import EncoderSet
from fieldcraft.contracts import Array, Encoded, Fitted, Job
from fieldcraft.core import catalogue
from fieldcraft.data.table import Column, Schema
from tests.encoding import fit_encode


def fit_column(
    column: Column, frame: pl.DataFrame, y: Array
) -> tuple[EncoderSet, Fitted, pl.DataFrame, Job]:
    """A network trained for two epochs on a column, for two classes."""
    schema = Schema((column,))
    values = schema.apply(frame)
    encoders = EncoderSet(schema)
    encoded = fit_encode(encoders, values, y[:, None].astype(float))
    learner = catalogue.load("learners", "network")
    job = Job(
        catalogue.load("tasks", "binary"), {"classes": ["0", "1"]},
        learner.options(epochs=2, warmup=0.2), encoders.nets, encoded, y, encoded, y,
    )  # fmt: skip
    return encoders, learner.fit(job), values, job


def keep_and_restore(
    encoders: EncoderSet, model: Fitted, job: Job, folder: Path
) -> tuple[EncoderSet, Any]:
    """Encoders and network as they come back from disk."""
    encoders.save(folder / "0", model.view)
    again = EncoderSet.load(folder / "0")
    learner = catalogue.load("learners", "network")
    return again, learner.restore(model.state(), replace(job, nets=again.nets))


def run_onnx(model: bytes, rows: Encoded) -> Array:
    """Outputs of an exported model, run by onnxruntime on whatever inputs it names."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wanted = [item.name for item in session.get_inputs()]
    return np.asarray(session.run(None, {name: rows.tensors()[name] for name in wanted})[0])
