"""LitServe with its batching: python lit.py MODEL.onnx PORT."""

from __future__ import annotations

import sys
from typing import Any

import litserve
import numpy as np
import onnxruntime


class Net(litserve.LitAPI):  # type: ignore[misc]
    """Predicts batches of network inputs."""

    def setup(self, device: str) -> None:
        self.session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
        (self.tensor,) = self.session.get_inputs()

    def decode_request(self, request: dict[str, float]) -> Any:
        return np.array([request[f"x{i}"] for i in range(self.tensor.shape[1])], dtype=np.float32)

    def predict(self, x: Any) -> Any:
        return self.session.run(None, {self.tensor.name: x})[0]

    def encode_response(self, output: Any) -> dict[str, list[float]]:
        return {"prediction": output.tolist()}


MODEL, PORT = sys.argv[1], int(sys.argv[2])
if __name__ == "__main__":
    api = Net(max_batch_size=64, batch_timeout=0.002)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=PORT,
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
    )
