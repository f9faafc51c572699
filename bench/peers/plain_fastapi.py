"""A minimal server: FastAPI, pydantic and onnxruntime, one row at a time.

    python plain_fastapi.py MODEL.onnx PORT

It gets the inputs of the network, so it does no encoding, calibration or validation.
"""

from __future__ import annotations

import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import create_model

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
(tensor,) = session.get_inputs()
WIDTH = tensor.shape[1]
Row = create_model("Row", **{f"x{i}": (float, ...) for i in range(WIDTH)})  # type: ignore[call-overload]
app = FastAPI()


@app.post("/predict")
async def predict(row: Row) -> dict[str, list[float]]:  # type: ignore[valid-type]
    values = np.array([[getattr(row, f"x{i}") for i in range(WIDTH)]], dtype=np.float32)
    (outputs,) = session.run(None, {tensor.name: values})
    return {"prediction": outputs[0].tolist()}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
