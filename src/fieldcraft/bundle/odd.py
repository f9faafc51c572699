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


def odd_cells(rows: pl.DataFrame, schema: Schema, profile: Json) -> dict[str, Counts]:
    """How many cells of each column are odd, by what is odd about them; such cells are served.

    ``unread``: there is something, but nothing of the column's kind, such as a word where a number
    belongs; it counts as missing. ``unseen``: a category that training rows do not have.
    ``outside``: a number or moment further from those of training rows than these are apart.

    Args:
        rows: cells as given, with the columns of the schema.
        schema: of the model.
        profile: what columns looked like in training.
    """
    found: dict[str, Counts] = {"unread": {}, "unseen": {}, "outside": {}}
    for column in schema.needed:
        values = schema.parse(rows[column.name], column)
        given = schema.stripped(rows[column.name]).is_not_null()
        counts = {"unread": int((given & values.is_null()).sum())}
        about = profile["columns"].get(column.name, {}).get(MEASURE)
        if about is not None:
            measure = kind_named(column.kind).measures(values)[MEASURE]
            what = "unseen" if about["form"] == "word" else "outside"
            counts[what] = int(is_far(measure, about).sum())
        for what, number in counts.items():
            if number:
                found[what][column.name] = number
    return found


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
