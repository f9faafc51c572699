"""The default protocol: rows as JSON objects, answers as JSON objects."""

from __future__ import annotations

import json
from typing import Any

from fieldcraft.core.types import Json
from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.json_body import RequestRow, parse_rows
from fieldcraft.serving.model import ServedModel

NAME = "json"
CONTENT_TYPES: tuple[bytes, ...] = (b"application/json",)
COMPACT_SEPARATORS = (",", ":")


def parse_request(body: bytes, model: ServedModel) -> tuple[list[RequestRow], Any]:
    """Return the rows of a request, and whether it was a single row.

    Raises:
        RequestError: the body is not JSON or has no rows.
    """
    return parse_rows(body, model.policy.max_rows)


def format_error(error: RequestError, redact: bool, request_id: str) -> bytes:
    """Return an error as a response body."""
    document = error.to_json(redact)
    document["error"]["request_id"] = request_id
    return json.dumps(document, separators=COMPACT_SEPARATORS).encode()


def format_response(
    answers: list[Json], is_single: Any, model: ServedModel, request_id: str
) -> bytes:
    """Return the answers to the rows of a request as a response body."""
    metadata = {"model_version": model.version, "request_id": request_id}
    document = {**answers[0], **metadata} if is_single else {"predictions": answers, **metadata}
    # NaN is no JSON. `ServedModel.predict_checked` refuses such outputs before they get here.
    return json.dumps(document, separators=COMPACT_SEPARATORS, allow_nan=False).encode()
