"""Every error has one shape, a status that fits, and tells private models' callers no more."""

from __future__ import annotations

import pytest

from fieldcraft.serving.errors import RETRY_AFTER_SECONDS, STATUS_BY_CODE, ErrorDetail, RequestError
from fieldcraft.serving.openapi import ERROR_DESCRIPTIONS


def test_the_description_of_the_server_has_every_status() -> None:
    assert {int(status) for status in ERROR_DESCRIPTIONS} == set(STATUS_BY_CODE.values()) - {404}


@pytest.mark.parametrize(
    ("code", "status", "retry"),
    [("overloaded", 503, 1), ("not_ready", 503, 2), ("worker_lost", 503, 1),
     ("deadline", 504, None), ("bad_rows", 422, None), ("too_large", 413, None),
     ("too_slow", 408, None)],
)  # fmt: skip
def test_a_code_has_a_status_and_where_it_helps_a_time_to_try_again(
    code: str, status: int, retry: int | None
) -> None:
    trouble = RequestError(code, "why")
    assert (trouble.status, trouble.retry_after) == (status, retry)
    assert set(RETRY_AFTER_SECONDS) == {
        code for code, status in STATUS_BY_CODE.items() if status == 503
    }


@pytest.mark.parametrize(("count", "told", "more"), [(0, 0, None), (5, 5, None), (7, 5, 2)])
def test_five_faults_are_told_and_the_others_counted(
    count: int, told: int, more: int | None
) -> None:
    faults = [ErrorDetail(f"fault {n}", row=n, column="age") for n in range(count)]
    error = RequestError("bad_rows", "why", faults).to_json()["error"]
    assert error.get("details", []) == [
        {"row": n, "column": "age", "message": f"fault {n}"} for n in range(told)
    ]
    assert error.get("more") == more
    assert (error["code"], error["message"]) == ("bad_rows", "why")


def test_private_faults_tell_the_row_and_neither_names_nor_values() -> None:
    assert ErrorDetail("'Bern' is no number", 0, "age").to_json(redact=True) == {
        "row": 0, "message": "the value does not fit",
    }  # fmt: skip
    assert ErrorDetail("send it once", column="age").to_json(redact=False) == {
        "column": "age", "message": "send it once",
    }  # fmt: skip
