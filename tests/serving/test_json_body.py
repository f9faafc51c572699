"""Request bodies are parsed strictly."""

from __future__ import annotations

import time

import pytest

from fieldcraft.serving.errors import RequestError
from fieldcraft.serving.json_body import parse_rows

ROW = {"age": 39, "city": None}


@pytest.mark.parametrize(
    ("body", "rows", "single"),
    [
        (b'{"rows": [{"age": 39, "city": null}]}', [ROW], False),
        (b'[{"age": 39, "city": null}]', [ROW], False),
        (b'{"age": 39, "city": null}', [ROW], True),
        (b'{"rows": []}', [], False),
        (b'{"rows": [1], "other": 2}', [{"rows": [1], "other": 2}], True),
    ],
)
def test_a_body_has_a_list_of_rows_or_a_single_row(
    body: bytes, rows: list[dict[str, object]], single: bool
) -> None:
    assert parse_rows(body, 10) == (rows, single)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "invalid_json", "not JSON"),
        (b'{"rows": [', "invalid_json", "not JSON"),
        (b'{"age": NaN}', "invalid_json", "NaN is not a number"),
        (b'{"age": -Infinity}', "invalid_json", "-Infinity is not a number"),
        (b'{"age": 1e999}', "invalid_json", "too large"),
        (b'{"age": ' + b"9" * 5_000 + b"}", "invalid_json", "not JSON"),
        (b'{"age": 1, "age": 2}', "invalid_json", "'age' occurs twice"),
        (b'\xff{"age": 1}', "invalid_json", "not text in UTF-8"),
        (b'"age"', "bad_request", "send"),
        (b'[{"age": 1}, 2]', "bad_request", "not objects"),
        (b"[{}, {}, {}]", "payload_too_large", "may hold 2 rows"),
    ],
)
def test_invalid_bodies_are_rejected_with_a_reason(body: bytes, code: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        parse_rows(body, 2)
    assert caught.value.code == code


def test_deep_nesting_is_rejected_fast() -> None:
    flat = b"[" + b"1," * 200_000 + b"1]"
    deep = b"[" * 200_000
    start = time.perf_counter()
    with pytest.raises(RequestError):
        parse_rows(flat, 10)
    read = time.perf_counter() - start
    start = time.perf_counter()
    with pytest.raises(RequestError, match="too deeply"):
        parse_rows(deep, 10)
    assert time.perf_counter() - start < max(4 * read, 0.05)  # not slower than parsing


def test_five_details_are_shown_and_redacted_ones_have_no_names() -> None:
    with pytest.raises(RequestError) as caught:
        parse_rows(b"[" + b"1," * 8 + b"1]", 100)
    error = caught.value.to_json()["error"]
    assert len(error["details"]) == 5
    assert error["n_more_details"] == 4
    redacted = caught.value.to_json(redact=True)["error"]["details"][0]
    assert redacted == {"row": 0, "message": "the value does not fit"}
