"""What in rows to predict a model was not made for: cells nobody can read, values never seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from fieldcraft.data.table import Schema, kind_named
from fieldcraft.evidence.profile import is_far

Json = dict[str, Any]
Counts = dict[str, int]
MEASURE = "value"  # the measure of a column that is the value itself
ODD = ("unread", "unseen", "outside")


def odd_cells(
    rows: pl.DataFrame, schema: Schema, profile: Json, values: pl.DataFrame | None = None
) -> dict[str, Counts]:
    """How many cells of each column are odd, by what is odd about them; such cells are served.

    ``unread``: there is something, but nothing of the column's kind, such as a word where a number
    belongs; it counts as missing. ``unseen``: a category that training rows do not have.
    ``outside``: a number or moment further from those of training rows than these are apart.

    Args:
        rows: cells as given, with the columns of the schema.
        schema: of the model.
        profile: what columns looked like in training.
        values: the rows as the schema parsed them, where that was done already.
    """
    parsed = schema.apply(rows) if values is None else values
    found: dict[str, Counts] = {what: {} for what in ODD}
    for column in schema.needed:
        cells, known = rows[column.name], column.name in parsed.columns
        read = parsed[column.name] if known else schema.parse(cells, column)
        counts = {"unread": unread(cells, read, schema)}
        about = profile.get("columns", {}).get(column.name, {}).get(MEASURE)
        if about is not None:
            measure = kind_named(column.kind).measures(read)[MEASURE]
            what = "unseen" if about["form"] == "word" else "outside"
            counts[what] = int(is_far(measure, about).sum())
        for what, number in counts.items():
            if number:
                found[what][column.name] = number
    return found


def unread(cells: pl.Series, values: pl.Series, schema: Schema) -> int:
    """How many cells hold something that their column's kind cannot read."""
    if not values.null_count():
        return 0
    given = schema.stripped(cells.filter(values.is_null()))
    return len(given) - given.null_count()


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
