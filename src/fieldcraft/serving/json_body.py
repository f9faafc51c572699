"""Parse the JSON of requests strictly (RFC 8259): no NaN, no duplicate names.

Python's `json` accepts both. NaN would reach the model as a number, and of two values with the same
name the first would be ignored silently.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from fieldcraft.serving.errors import ErrorDetail, RequestError

RequestRow = dict[str, Any]


def parse_rows(body: bytes, max_rows: int) -> tuple[list[RequestRow], bool]:
    """Return the rows of a request, and whether it is a single row, not in a list.

    Rows come as ``{"rows": [{...}]}``, as a list, or as one object.

    Args:
        body: body of the request.
        max_rows: maximum number of rows.

    Raises:
        RequestError: the body is not JSON, or has no rows or too many.
    """
    document = parse_json(body)
    # Beside other names, "rows" is a column of a single row.
    if isinstance(document, dict) and isinstance(document.get("rows"), list) and len(document) == 1:
        document = document["rows"]
    is_single = isinstance(document, dict)
    rows = [document] if is_single else document
    if not isinstance(rows, list):
        raise RequestError("bad_request", 'send {"rows": [{"column": value, ...}]}, or one row')
    return check_rows(rows, max_rows), is_single


def check_rows(rows: list[Any], max_rows: int) -> list[RequestRow]:
    """Check that the items of a list are rows.

    Raises:
        RequestError: an item is not an object, or there are too many rows.
    """
    if len(rows) > max_rows:
        raise RequestError(
            "payload_too_large",
            f"a request may hold {max_rows:,} rows; this one holds {len(rows):,}",
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
    """Parse a body as JSON.

    Raises:
        RequestError: it is not valid JSON: truncated, nested too deeply, duplicate names, or NaN.
    """
    try:
        # As `json.loads` decodes bytes: UTF-8, or UTF-16 and UTF-32 by their first bytes.
        return STRICT_JSON_DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except UnicodeDecodeError as error:
        raise RequestError("invalid_json", "the body is not text in UTF-8") from error
    except RecursionError as error:
        raise RequestError("invalid_json", "the body is nested too deeply") from error
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg} at character {error.pos}"
        raise RequestError("invalid_json", message) from error
    except ValueError as error:  # such as an integer with too many digits for Python
        raise RequestError("invalid_json", f"the body is not JSON: {str(error)[:200]}") from error


def reject_duplicate_keys(pairs: Sequence[tuple[str, Any]]) -> RequestRow:
    """Build an object whose names are unique.

    Raises:
        RequestError: a name occurs twice.
    """
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise RequestError(
            "invalid_json", f"the name {duplicate[:100]!r} occurs twice in one object"
        )
    return result


def reject_nan(literal: str) -> Any:
    """Reject NaN and Infinity, which JSON does not have.

    Raises:
        RequestError: always.
    """
    raise RequestError(
        "invalid_json", f"{literal} is not a number in JSON; send null for a missing value"
    )


def parse_finite_float(text: str) -> float:
    """Parse a number with a fraction or an exponent.

    Raises:
        RequestError: it overflows a 64-bit float.
    """
    number = float(text)
    if not math.isfinite(number):
        raise RequestError("invalid_json", f"the number {text[:40]} is too large")
    return number


STRICT_JSON_DECODER = json.JSONDecoder(
    object_pairs_hook=reject_duplicate_keys,
    parse_constant=reject_nan,
    parse_float=parse_finite_float,
)
