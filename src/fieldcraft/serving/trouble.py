"""What a caller is told when a request cannot be answered: one shape for every error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MOST = 5  # errors that one answer tells of

STATUS = {
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
RETRY = {"overloaded": 1, "not_ready": 2, "worker_lost": 1}  # seconds after which to try again


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a request.

    Attributes:
        message: what is wrong, and the way out.
        row: of the request, counted from 0.
        column: by name.
    """

    message: str
    row: int | None = None
    column: str | None = None

    def as_json(self, private: bool) -> dict[str, Any]:
        """The fault as a JSON value; in private mode without what tells of the model's columns."""
        found: dict[str, Any] = {} if self.row is None else {"row": self.row}
        if private:
            return {**found, "message": "the value does not fit"}
        named = {} if self.column is None else {"column": self.column}
        return {**found, **named, "message": self.message}


class Trouble(Exception):
    """A request that is refused or that failed.

    Args:
        code: one of `STATUS`.
        message: what is wrong.
        faults: where, at most five of which are told.
    """

    def __init__(self, code: str, message: str, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.faults = tuple(faults)

    @property
    def status(self) -> int:
        """The status of the answer."""
        return STATUS[self.code]

    @property
    def retry_after(self) -> int | None:
        """Seconds after which another try makes sense; None where it makes none."""
        return RETRY.get(self.code)

    def as_json(self, private: bool = False) -> dict[str, Any]:
        """What the caller is told."""
        told = [fault.as_json(private) for fault in self.faults[:MOST]]
        more = len(self.faults) - len(told)
        found: dict[str, Any] = {"code": self.code, "message": self.message}
        if told:
            found["details"] = told
        if more > 0:
            found["more"] = more
        return {"error": found}
