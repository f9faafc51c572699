"""Write a model for `mlflow models serve`: python flow.py MODEL.onnx FOLDER."""

from __future__ import annotations

import sys
from typing import Any

import mlflow
import numpy as np


class Net(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Predicts batches of network inputs."""

    def load_context(self, context: Any) -> None:
        import onnxruntime

        model = context.artifacts["model"]
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        (self.tensor,) = self.session.get_inputs()

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        rows = np.asarray(model_input, dtype=np.float32)
        return self.session.run(None, {self.tensor.name: rows})[0]


if __name__ == "__main__":
    mlflow.pyfunc.save_model(sys.argv[2], python_model=Net(), artifacts={"model": sys.argv[1]})
