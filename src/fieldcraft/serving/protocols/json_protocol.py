"""The protocol that people type by hand: rows as objects, answers as objects."""

from __future__ import annotations

import json
from typing import Any

from fieldcraft.core.types import Json
from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.model import ServedModel
from fieldcraft.serving.json_body import RequestRow, parse_rows

NAME = "plain"
CONTENT_TYPES = (b"application/json",)  # of bodies
COMPACT_SEPARATORS = (",", ":")


def parse_request(body: bytes, model: ServedModel) -> tuple[list[RequestRow], Any]:
    """The rows of a request, and whether it was one row by itself.

    Raises:
        Trouble: the body is no JSON, or holds no rows.
    """
    return parse_rows(body, model.policy.max_rows)


def format_error(error: RequestError, redact: bool, request_id: str) -> bytes:
    """What is wrong with a request."""
    document = error.to_json(redact)
    document["error"]["request_id"] = request_id
    return json.dumps(document, separators=COMPACT_SEPARATORS).encode()


def format_response(
    answers: list[Json], is_single: Any, model: ServedModel, request_id: str
) -> bytes:
    """The answer to a request."""
    metadata = {"model_version": model.version, "request_id": request_id}
    document = {**answers[0], **metadata} if is_single else {"predictions": answers, **metadata}
    return json.dumps(document, separators=COMPACT_SEPARATORS, allow_nan=False).encode()
