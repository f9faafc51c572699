"""An MLServer runtime with its own batching: see `bench/serving.py` for its settings."""

from __future__ import annotations

from typing import Any

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Net(MLModel):  # type: ignore[misc]
    """Predicts batches of network inputs."""

    async def load(self) -> bool:
        model = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        (self.tensor,) = self.session.get_inputs()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0]).astype("float32")
        outputs: Any = self.session.run(None, {self.tensor.name: rows})[0]
        response_output = NumpyCodec.encode_output("prediction", outputs)
        return InferenceResponse(model_name=self.name, outputs=[response_output])
