"""Requests are read strictly, and what is wrong with one is said."""

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
def test_rows_come_in_a_list_or_one_by_itself(
    body: bytes, rows: list[dict[str, object]], single: bool
) -> None:
    assert parse_rows(body, 10) == (rows, single)


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (b"", "bad_json", "not JSON"),
        (b'{"rows": [', "bad_json", "not JSON"),
        (b'{"age": NaN}', "bad_json", "NaN is not a number"),
        (b'{"age": -Infinity}', "bad_json", "-Infinity is not a number"),
        (b'{"age": 1e999}', "bad_json", "too large"),
        (b'{"age": ' + b"9" * 5_000 + b"}", "bad_json", "not JSON"),
        (b'{"age": 1, "age": 2}', "bad_json", "'age' stands twice"),
        (b'\xff{"age": 1}', "bad_json", "not text in UTF-8"),
        (b'"age"', "bad_request", "send"),
        (b'[{"age": 1}, 2]', "bad_request", "not objects"),
        (b"[{}, {}, {}]", "too_large", "may hold 2 rows"),
    ],
)
def test_what_is_wrong_with_a_body_is_told(body: bytes, code: str, said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        parse_rows(body, 2)
    assert caught.value.code == code


def test_deep_nesting_is_refused_without_work() -> None:
    flat = b"[" + b"1," * 200_000 + b"1]"
    deep = b"[" * 200_000
    start = time.perf_counter()
    with pytest.raises(RequestError):
        parse_rows(flat, 10)
    read = time.perf_counter() - start
    start = time.perf_counter()
    with pytest.raises(RequestError, match="too deeply"):
        parse_rows(deep, 10)
    assert time.perf_counter() - start < max(4 * read, 0.05)  # no more than it costs to read


def test_at_most_five_faults_are_told_and_private_ones_tell_no_names() -> None:
    with pytest.raises(RequestError) as caught:
        parse_rows(b"[" + b"1," * 8 + b"1]", 100)
    told = caught.value.to_json()["error"]
    assert len(told["details"]) == 5
    assert told["more"] == 4
    private = caught.value.to_json(redact=True)["error"]["details"][0]
    assert private == {"row": 0, "message": "the value does not fit"}
