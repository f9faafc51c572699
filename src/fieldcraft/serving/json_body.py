"""Requests read strictly: JSON as its standard has it, a row or rows in it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from fieldcraft.serving.errors import ErrorDetail, RequestError

RequestRow = dict[str, Any]


def parse_rows(body: bytes, max_rows: int) -> tuple[list[RequestRow], bool]:
    """The rows of a request, ``{"rows": [{...}]}`` or a list, and whether it is one row alone.

    Args:
        body: of the request.
        max_rows: rows that it may hold.

    Raises:
        Trouble: the body is no JSON, or holds no rows or too many of them.
    """
    document = parse_json(body)
    if isinstance(document, dict) and isinstance(document.get("rows"), list) and len(document) == 1:
        document = document["rows"]
    is_single = isinstance(document, dict)
    rows = [document] if is_single else document
    if not isinstance(rows, list):
        raise RequestError("bad_request", 'send {"rows": [{"column": value, ...}]}, or one row')
    return check_rows(rows, max_rows), is_single


def check_rows(rows: list[Any], max_rows: int) -> list[RequestRow]:
    """The items of a list, if they are rows.

    Raises:
        Trouble: some are not, or there are too many.
    """
    if len(rows) > max_rows:
        raise RequestError(
            "too_large", f"a request may hold {max_rows:,} rows; this one holds {len(rows):,}"
        )
    invalid_rows = [row_number for row_number, row in enumerate(rows) if not isinstance(row, dict)]
    if invalid_rows:
        details = [
            ErrorDetail("a row is an object of columns and values", row=invalid_row)
            for invalid_row in invalid_rows
        ]
        raise RequestError("bad_request", "some rows are not objects", details)
    return rows


def parse_json(body: bytes) -> Any:
    """What a body says.

    Raises:
        Trouble: it is not JSON: cut short, too deep, a name twice, a number that is none.
    """
    try:
        return STRICT_JSON_DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except UnicodeDecodeError as error:
        raise RequestError("bad_json", "the body is not text in UTF-8") from error
    except RecursionError as error:
        raise RequestError("bad_json", "the body is nested too deeply") from error
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg} at character {error.pos}"
        raise RequestError("bad_json", message) from error
    except ValueError as error:  # also of a number of too many digits
        raise RequestError("bad_json", f"the body is not JSON: {str(error)[:200]}") from error


def reject_duplicate_keys(pairs: Sequence[tuple[str, Any]]) -> RequestRow:
    """An object of which no name stands twice.

    Raises:
        Trouble: one does, so that it is not clear what was meant.
    """
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise RequestError("bad_json", f"the name {duplicate[:100]!r} stands twice in one object")
    return result


def reject_nan(literal: str) -> Any:
    """Refuse NaN and Infinity, which JSON does not have.

    Raises:
        Trouble: always.
    """
    raise RequestError(
        "bad_json", f"{literal} is not a number in JSON; send null for a missing value"
    )


def parse_finite_float(text: str) -> float:
    """A number from its digits.

    Raises:
        Trouble: it is larger than any number here can be.
    """
    number = float(text)
    if not math.isfinite(number):
        raise RequestError("bad_json", f"the number {text[:40]} is too large")
    return number


STRICT_JSON_DECODER = json.JSONDecoder(
    object_pairs_hook=reject_duplicate_keys,
    parse_constant=reject_nan,
    parse_float=parse_finite_float,
)
