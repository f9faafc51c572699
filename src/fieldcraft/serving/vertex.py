"""The protocol of containers on Vertex AI: instances in, predictions out.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

from __future__ import annotations

import json
from typing import Any

from fieldcraft.contracts import Json
from fieldcraft.serving.asked import Row, parsed, rows_of
from fieldcraft.serving.model import Model
from fieldcraft.serving.plain import TYPES, refuse
from fieldcraft.serving.trouble import Trouble

__all__ = ["NAME", "TYPES", "read", "refuse", "write"]
NAME = "vertex"


def read(body: bytes, model: Model) -> tuple[list[Row], Any]:
    """The rows of a request.

    Raises:
        Trouble: the body is no request of this protocol.
    """
    asked = parsed(body)
    if not isinstance(asked, dict) or not isinstance(asked.get("instances"), list):
        raise Trouble("bad_request", 'send {"instances": [{"column": value, ...}]}')
    return rows_of(asked["instances"], model.manners.rows), None


def write(answers: list[Json], asked: Any, model: Model, request: str) -> bytes:
    """The answer to a request."""
    whole = {"predictions": answers, "model_version": model.version, "request_id": request}
    return json.dumps(whole, separators=(",", ":"), allow_nan=False).encode()
