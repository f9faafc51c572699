"""What a caller is told when a request cannot be answered: one shape for every error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_ERROR_DETAILS = 5  # errors that one answer tells of

STATUS_BY_CODE = {
    "bad_json": 400,
    "bad_request": 400,
    "unauthorized": 401,
    "not_found": 404,
    "wrong_method": 405,
    "too_slow": 408,
    "too_large": 413,
    "wrong_type": 415,
    "bad_rows": 422,
    "model_error": 500,
    "bad_shape": 500,
    "nonfinite_output": 500,
    "overloaded": 503,
    "not_ready": 503,
    "worker_lost": 503,
    "deadline": 504,
}
RETRY_AFTER_SECONDS = {
    "overloaded": 1,
    "not_ready": 2,
    "worker_lost": 1,
}  # seconds after which to try again


@dataclass(frozen=True)
class ErrorDetail:
    """One thing that is wrong with a request.

    Attributes:
        message: what is wrong, and the way out.
        row: of the request, counted from 0.
        column: by name.
    """

    message: str
    row: int | None = None
    column: str | None = None

    def to_json(self, redact: bool) -> dict[str, Any]:
        """The fault as a JSON value; in private mode without what tells of the model's columns."""
        detail: dict[str, Any] = {} if self.row is None else {"row": self.row}
        if redact:
            return {**detail, "message": "the value does not fit"}
        column_name = {} if self.column is None else {"column": self.column}
        return {**detail, **column_name, "message": self.message}


class RequestError(Exception):
    """A request that is refused or that failed.

    Args:
        code: one of `STATUS`.
        message: what is wrong.
        details: where, at most five of which are told.
    """

    def __init__(self, code: str, message: str, details: Sequence[ErrorDetail] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = tuple(details)

    @property
    def status(self) -> int:
        """The status of the answer."""
        return STATUS_BY_CODE[self.code]

    @property
    def retry_after(self) -> int | None:
        """Seconds after which another try makes sense; None where it makes none."""
        return RETRY_AFTER_SECONDS.get(self.code)

    def to_json(self, redact: bool = False) -> dict[str, Any]:
        """What the caller is told."""
        shown_details = [detail.to_json(redact) for detail in self.details[:MAX_ERROR_DETAILS]]
        n_more = len(self.details) - len(shown_details)
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if shown_details:
            error["details"] = shown_details
        if n_more > 0:
            error["more"] = n_more
        return {"error": error}
