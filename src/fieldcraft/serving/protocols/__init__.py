"""Protocols of prediction requests, by name.

To add one, write a module with the members of `RequestProtocol` and list it in `PROTOCOLS`.
"""

from __future__ import annotations

from typing import Any, Protocol

from fieldcraft.core.types import Json
from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.json_body import RequestRow
from fieldcraft.serving.model import ServedModel
from fieldcraft.serving.protocols import json_protocol, open_inference, vertex


# The implementations are modules: what a protocol names in capitals is a constant of the module.
class RequestProtocol(Protocol):
    """What the module of a protocol defines."""

    @property
    def NAME(self) -> str:
        """Name of the protocol."""

    @property
    def CONTENT_TYPES(self) -> tuple[bytes, ...]:
        """Content types of request bodies."""

    def parse_request(self, body: bytes, model: ServedModel) -> tuple[list[RequestRow], Any]:
        """Return the rows of a request, and a context for `format_response`."""

    def format_response(
        self, answers: list[Json], context: Any, model: ServedModel, request_id: str
    ) -> bytes:
        """Return the answers to the rows of a request as a response body."""

    def format_error(self, error: RequestError, redact: bool, request_id: str) -> bytes:
        """Return an error as a response body."""


PROTOCOLS: dict[str, RequestProtocol] = {
    json_protocol.NAME: json_protocol,
    open_inference.NAME: open_inference,
    vertex.NAME: vertex,
}
