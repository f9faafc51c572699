"""What in rows to predict a model was not made for: cells nobody can read, values never seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from fieldcraft.data.parse import strip
from fieldcraft.data.table import Schema

Json = dict[str, Any]
Counts = dict[str, int]


def odd_cells(rows: pl.DataFrame, schema: Schema, profile: Json) -> dict[str, Counts]:
    """How many cells of each column are odd, by what is odd about them; such cells are served.

    ``unread``: there is something, but nothing of the column's kind, such as a word where a number
    belongs; it counts as missing. ``unseen``: a category that training rows do not have.
    ``outside``: a number or moment further from those of training rows than these are apart.

    Args:
        rows: cells as given, with the columns of the schema.
        schema: of the model.
        profile: what each column looked like in training.
    """
    found: dict[str, Counts] = {"unread": {}, "unseen": {}, "outside": {}}
    for column in schema.needed:
        values = schema.parse(rows[column.name], column)
        given = strip(rows[column.name], schema.missing).is_not_null()
        counts = {"unread": int((given & values.is_null()).sum())}
        count = COUNTED.get(column.kind)
        if count and column.name in profile:
            what, odd = count(values, profile[column.name])
            counts[what] = odd
        for what, number in counts.items():
            if number:
                found[what][column.name] = number
    return found


def never_seen(values: pl.Series, known: Mapping[str, Any]) -> tuple[str, int]:
    """How many categories are none of those of training rows, where the profile has them all."""
    shares = known.get("shares", {})
    if not shares or len(shares) < known.get("levels", 0):
        return "unseen", 0
    words = values.drop_nulls().cast(pl.String)
    return "unseen", int((~words.is_in(list(shares))).sum())


def far_off(values: pl.Series, known: Mapping[str, Any]) -> tuple[str, int]:
    """How many numbers lie further off than the numbers of training rows are apart."""
    quantiles = [float(value) for value in known.get("quantiles", {}).values()]
    if not quantiles:
        return "outside", 0
    low, high = min(quantiles), max(quantiles)
    apart = (high - low) or abs(high) or 1.0
    numbers = values.drop_nulls().cast(pl.Float64)
    return "outside", int(((numbers < low - apart) | (numbers > high + apart)).sum())


def far_away(values: pl.Series, known: Mapping[str, Any]) -> tuple[str, int]:
    """How many moments lie further off than the moments of training rows are apart."""
    ends = pl.Series([known.get("first"), known.get("last")], dtype=pl.String)
    first, last = ends.str.to_datetime(strict=False).to_list()
    if first is None or last is None:
        return "outside", 0
    moments = values.drop_nulls().cast(pl.Datetime)
    apart = last - first
    try:
        early, late = first - apart, last + apart
    except OverflowError:
        return "outside", 0
    return "outside", int(((moments < early) | (moments > late)).sum())


COUNTED: Mapping[str, Callable[[pl.Series, Mapping[str, Any]], tuple[str, int]]] = {
    "category": never_seen,
    "number": far_off,
    "datetime": far_away,
}


def in_words(odd: Mapping[str, Counts]) -> list[str]:
    """What is odd, a line for each sort, with the columns and their counts."""
    said = {
        "unread": "cells that cannot be read and count as missing",
        "unseen": "cells with a category that was never seen in training",
        "outside": "cells far outside of what was seen in training",
    }
    return [
        f"{said[what]}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}"
        for what, counts in odd.items()
        if counts
    ]
