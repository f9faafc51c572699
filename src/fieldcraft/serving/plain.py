"""The protocol that people type by hand: rows as objects, answers as objects."""

from __future__ import annotations

import json
from typing import Any

from fieldcraft.contracts import Json
from fieldcraft.serving.asked import Row, rows_in
from fieldcraft.serving.model import Model
from fieldcraft.serving.trouble import Trouble

NAME = "plain"
TYPES = (b"application/json",)  # of bodies
SEPARATORS = (",", ":")


def read(body: bytes, model: Model) -> tuple[list[Row], Any]:
    """The rows of a request, and whether it was one row by itself.

    Raises:
        Trouble: the body is no JSON, or holds no rows.
    """
    return rows_in(body, model.manners.rows)


def refuse(trouble: Trouble, private: bool, request: str) -> bytes:
    """What is wrong with a request."""
    found = trouble.as_json(private)
    found["error"]["request_id"] = request
    return json.dumps(found, separators=SEPARATORS).encode()


def write(answers: list[Json], single: Any, model: Model, request: str) -> bytes:
    """The answer to a request."""
    about = {"model_version": model.version, "request_id": request}
    whole = {**answers[0], **about} if single else {"predictions": answers, **about}
    return json.dumps(whole, separators=SEPARATORS, allow_nan=False).encode()
