"""A runtime of MLServer, which batches by itself: see `bench/serving.py` for its settings."""

from __future__ import annotations

from typing import Any

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Net(MLModel):  # type: ignore[misc]
    """The network's own inputs, many at once."""

    async def load(self) -> bool:
        model = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        (self.tensor,) = self.session.get_inputs()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0]).astype("float32")
        found: Any = self.session.run(None, {self.tensor.name: rows})[0]
        told = NumpyCodec.encode_output("prediction", found)
        return InferenceResponse(model_name=self.name, outputs=[told])
