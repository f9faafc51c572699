"""Requests read strictly: JSON as its standard has it, a row or rows in it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from fieldcraft.serving.trouble import Fault, Trouble

Row = dict[str, Any]


def rows_in(body: bytes, most: int) -> tuple[list[Row], bool]:
    """The rows of a request, ``{"rows": [{...}]}`` or a list, and whether it is one row alone.

    Args:
        body: of the request.
        most: rows that it may hold.

    Raises:
        Trouble: the body is no JSON, or holds no rows or too many of them.
    """
    asked = parsed(body)
    if isinstance(asked, dict) and isinstance(asked.get("rows"), list) and len(asked) == 1:
        asked = asked["rows"]
    single = isinstance(asked, dict)
    rows = [asked] if single else asked
    if not isinstance(rows, list):
        raise Trouble("bad_request", 'send {"rows": [{"column": value, ...}]}, or one row')
    return rows_of(rows, most), single


def rows_of(rows: list[Any], most: int) -> list[Row]:
    """The items of a list, if they are rows.

    Raises:
        Trouble: some are not, or there are too many.
    """
    if len(rows) > most:
        raise Trouble(
            "too_large", f"a request may hold {most:,} rows; this one holds {len(rows):,}"
        )
    odd = [number for number, row in enumerate(rows) if not isinstance(row, dict)]
    if odd:
        faults = [Fault("a row is an object of columns and values", row=n) for n in odd]
        raise Trouble("bad_request", "some rows are not objects", faults)
    return rows


def parsed(body: bytes) -> Any:
    """What a body says.

    Raises:
        Trouble: it is not JSON: cut short, too deep, a name twice, a number that is none.
    """
    try:
        return READER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except UnicodeDecodeError as error:
        raise Trouble("bad_json", "the body is not text in UTF-8") from error
    except RecursionError as error:
        raise Trouble("bad_json", "the body is nested too deeply") from error
    except json.JSONDecodeError as error:
        message = f"the body is not JSON: {error.msg} at character {error.pos}"
        raise Trouble("bad_json", message) from error
    except ValueError as error:  # also of a number of too many digits
        raise Trouble("bad_json", f"the body is not JSON: {str(error)[:200]}") from error


def each_once(pairs: Sequence[tuple[str, Any]]) -> Row:
    """An object of which no name stands twice.

    Raises:
        Trouble: one does, so that it is not clear what was meant.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Trouble("bad_json", f"the name {twice[:100]!r} stands twice in one object")
    return found


def no_number(word: str) -> Any:
    """Refuse NaN and Infinity, which JSON does not have.

    Raises:
        Trouble: always.
    """
    raise Trouble("bad_json", f"{word} is not a number in JSON; send null for a missing value")


def finite(text: str) -> float:
    """A number from its digits.

    Raises:
        Trouble: it is larger than any number here can be.
    """
    found = float(text)
    if not math.isfinite(found):
        raise Trouble("bad_json", f"the number {text[:40]} is too large")
    return found


READER = json.JSONDecoder(object_pairs_hook=each_once, parse_constant=no_number, parse_float=finite)
