"""The protocol of custom containers on Vertex AI: ``instances`` in, ``predictions`` out.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

from __future__ import annotations

import json
from typing import Any

from fieldcraft.core.types import Json
from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.json_body import RequestRow, check_rows, parse_json
from fieldcraft.serving.model import ServedModel
from fieldcraft.serving.protocols.json_protocol import CONTENT_TYPES, format_error

__all__ = ["CONTENT_TYPES", "NAME", "format_error", "format_response", "parse_request"]
NAME = "vertex"


def parse_request(body: bytes, model: ServedModel) -> tuple[list[RequestRow], Any]:
    """Return the rows of a request.

    Raises:
        RequestError: the body is not a request of this protocol.
    """
    document = parse_json(body)
    if not isinstance(document, dict) or not isinstance(document.get("instances"), list):
        raise RequestError("bad_request", 'send {"instances": [{"column": value, ...}]}')
    return check_rows(document["instances"], model.policy.max_rows), None


def format_response(
    answers: list[Json], context: Any, model: ServedModel, request_id: str
) -> bytes:
    """Return the answers to the rows of a request as a response body."""
    document = {"predictions": answers, "model_version": model.version, "request_id": request_id}
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
