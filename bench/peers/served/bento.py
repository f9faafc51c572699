"""BentoML with its adaptive batching: MODEL=model.onnx bentoml serve bento:Net --port PORT."""

from __future__ import annotations

import os
from typing import Any

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1, traffic={"timeout": 30, "max_concurrency": 1_000})
class Net:
    """Predicts batches of network inputs."""

    def __init__(self) -> None:
        model = os.environ["MODEL"]
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        (self.tensor,) = self.session.get_inputs()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1_000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        outputs: Any = self.session.run(None, {self.tensor.name: rows.astype(np.float32)})[0]
        return np.asarray(outputs)
