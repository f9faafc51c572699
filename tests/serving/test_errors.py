"""All errors have the same format and a matching status; redacted ones reveal no columns."""

from __future__ import annotations

import pytest

from fieldcraft.serving.errors import RETRY_AFTER_SECONDS, STATUS_BY_CODE, ErrorDetail, RequestError
from fieldcraft.serving.openapi import ERROR_DESCRIPTIONS


def test_the_openapi_schema_has_every_status() -> None:
    assert {int(status) for status in ERROR_DESCRIPTIONS} == set(STATUS_BY_CODE.values()) - {404}


@pytest.mark.parametrize(
    ("code", "status", "retry"),
    [("overloaded", 503, 1), ("not_ready", 503, 2), ("worker_crashed", 503, 1),
     ("timeout", 504, None), ("invalid_input", 422, None), ("payload_too_large", 413, None),
     ("request_timeout", 408, None)],
)  # fmt: skip
def test_codes_have_a_status_and_a_retry_time_if_a_retry_can_help(
    code: str, status: int, retry: int | None
) -> None:
    error = RequestError(code, "why")
    assert (error.status, error.retry_after) == (status, retry)
    assert set(RETRY_AFTER_SECONDS) == {
        code for code, status in STATUS_BY_CODE.items() if status == 503
    }


@pytest.mark.parametrize(("count", "n_shown", "n_more"), [(0, 0, None), (5, 5, None), (7, 5, 2)])
def test_five_details_are_shown_and_the_others_counted(
    count: int, n_shown: int, n_more: int | None
) -> None:
    details = [ErrorDetail(f"fault {n}", row=n, column="age") for n in range(count)]
    error = RequestError("invalid_input", "why", details).to_json()["error"]
    assert error.get("details", []) == [
        {"row": n, "column": "age", "message": f"fault {n}"} for n in range(n_shown)
    ]
    assert error.get("n_more_details") == n_more
    assert (error["code"], error["message"]) == ("invalid_input", "why")


def test_redacted_details_show_the_row_without_names_and_values() -> None:
    assert ErrorDetail("'Bern' is not a valid number", 0, "age").to_json(redact=True) == {
        "row": 0, "message": "the value does not fit",
    }  # fmt: skip
    assert ErrorDetail("send it once", column="age").to_json(redact=False) == {
        "column": "age", "message": "send it once",
    }  # fmt: skip
