"""Networks over one column of texts or photos: fitted, kept, restored, exported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import polars as pl

from fieldcraft.bundle.encoder_set import EncoderSet
from fieldcraft.contracts import Encoded, FittedModel, TrainingJob
from fieldcraft.core import catalog
from fieldcraft.core.types import Array
from fieldcraft.data.schema import Column, Schema
from tests.encoding import fit_and_encode


def fit_column(
    column: Column, frame: pl.DataFrame, y: Array
) -> tuple[EncoderSet, FittedModel, pl.DataFrame, TrainingJob]:
    """A network trained for two epochs on a column, for two classes."""
    schema = Schema((column,))
    values = schema.apply(frame)
    encoders = EncoderSet(schema)
    encoded = fit_and_encode(encoders, values, y[:, None].astype(float))
    learner = catalog.load_plugin("learners", "network")
    job = TrainingJob(
        catalog.load_plugin("tasks", "binary"), {"classes": ["0", "1"]},
        learner.options(epochs=2, warmup_epochs=0.2), encoders.build_nets, encoded, y, encoded, y,
    )  # fmt: skip
    return encoders, learner.fit(job), values, job


def save_and_restore(
    encoders: EncoderSet, model: FittedModel, job: TrainingJob, folder: Path
) -> tuple[EncoderSet, Any]:
    """Encoders and network as they come back from disk."""
    encoders.save(folder / "0", model.input_format)
    restored = EncoderSet.load(folder / "0")
    learner = catalog.load_plugin("learners", "network")
    return restored, learner.restore(model.state(), replace(job, encoder_nets=restored.build_nets))


def run_onnx(model: bytes, rows: Encoded) -> Array:
    """Outputs of an exported model, run by onnxruntime on whatever inputs it names."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    input_names = [item.name for item in session.get_inputs()]
    return np.asarray(session.run(None, {name: rows.tensors()[name] for name in input_names})[0])
