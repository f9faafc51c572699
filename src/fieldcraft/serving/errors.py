"""Errors of the server: codes, HTTP statuses, and one JSON shape for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_ERROR_DETAILS = 5  # listed in one answer; the others are only counted

STATUS_BY_CODE = {
    "invalid_json": 400,
    "bad_request": 400,
    "unauthorized": 401,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_input": 422,
    "model_error": 500,
    "invalid_output_shape": 500,
    "nonfinite_output": 500,
    "overloaded": 503,
    "not_ready": 503,
    "worker_crashed": 503,
    "timeout": 504,
}
# Only for errors after which the same request may succeed. A closing server takes longest: another
# one has to take its place.
RETRY_AFTER_SECONDS = {"overloaded": 1, "not_ready": 2, "worker_crashed": 1}
# Nobody receives this answer: code and status, which is nginx's, only label the request in metrics.
CLIENT_DISCONNECTED_CODE, CLIENT_DISCONNECTED_STATUS = "client_disconnected", 499


@dataclass(frozen=True)
class ErrorDetail:
    """One problem with a request.

    Attributes:
        message: what is wrong and how to fix it.
        row: row of the request, counted from 0.
        column: name of the column.
    """

    message: str
    row: int | None = None
    column: str | None = None

    def to_json(self, redact: bool) -> dict[str, Any]:
        """Return the problem as JSON; if redacted, without column names and values."""
        detail: dict[str, Any] = {} if self.row is None else {"row": self.row}
        if redact:
            return {**detail, "message": "the value does not fit"}
        column_name = {} if self.column is None else {"column": self.column}
        return {**detail, **column_name, "message": self.message}


class RequestError(Exception):
    """A request that is refused or that failed.

    Args:
        code: a key of `STATUS_BY_CODE`.
        message: what is wrong.
        details: where it is wrong; at most `MAX_ERROR_DETAILS` are shown.
    """

    def __init__(self, code: str, message: str, details: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = tuple(details)

    @property
    def status(self) -> int:
        """HTTP status of the answer."""
        return STATUS_BY_CODE[self.code]

    @property
    def retry_after(self) -> int | None:
        """Seconds after which a retry makes sense; None if it does not."""
        return RETRY_AFTER_SECONDS.get(self.code)

    def to_json(self, redact: bool = False) -> dict[str, Any]:
        """Return the error as the JSON object that the client receives."""
        shown_details = [detail.to_json(redact) for detail in self.details[:MAX_ERROR_DETAILS]]
        n_more_details = len(self.details) - len(shown_details)
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if shown_details:
            error["details"] = shown_details
        if n_more_details > 0:
            error["n_more_details"] = n_more_details
        return {"error": error}
