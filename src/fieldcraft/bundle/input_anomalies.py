"""What in rows to predict a model was not made for: cells nobody can read, values never seen."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from fieldcraft.core.types import Json
from fieldcraft.data.schema import Schema, load_kind
from fieldcraft.statistics.reference_profile import is_far_outside

CountsByColumn = dict[str, int]
VALUE_STATISTIC = "value"  # the measure of a column that is the value itself
ANOMALY_TYPES = ("unread", "unseen", "outside")


def count_input_anomalies(
    cells: pl.DataFrame, schema: Schema, profile: Json, values: pl.DataFrame | None = None
) -> dict[str, CountsByColumn]:
    """How many cells of each column are odd, by what is odd about them; such cells are served.

    ``unread``: there is something, but nothing of the column's kind, such as a word where a number
    belongs; it counts as missing. ``unseen``: a category that training rows do not have.
    ``outside``: a number or moment further from those of training rows than these are apart.

    Args:
        cells: cells as given, with the columns of the schema.
        schema: of the model.
        profile: what columns looked like in training.
        values: the rows as the schema parsed them, where that was done already.
    """
    parsed_frame = schema.apply(cells) if values is None else values
    counts_by_type: dict[str, CountsByColumn] = {anomaly_type: {} for anomaly_type in ANOMALY_TYPES}
    for column in schema.input_columns:
        column_cells, is_parsed = cells[column.name], column.name in parsed_frame.columns
        values_of_column = (
            parsed_frame[column.name] if is_parsed else schema.parse(column_cells, column)
        )
        counts = {"unread": count_unparseable(column_cells, values_of_column, schema)}
        reference = profile.get("columns", {}).get(column.name, {}).get(VALUE_STATISTIC)
        if reference is not None:
            statistic = load_kind(column.kind).drift_statistics(values_of_column)[VALUE_STATISTIC]
            anomaly_type = "unseen" if reference["form"] == "word" else "outside"
            counts[anomaly_type] = int(is_far_outside(statistic, reference).sum())
        for anomaly_type, count in counts.items():
            if count:
                counts_by_type[anomaly_type][column.name] = count
    return counts_by_type


def count_unparseable(cells: pl.Series, values: pl.Series, schema: Schema) -> int:
    """How many cells hold something that their column's kind cannot read."""
    if not values.null_count():
        return 0
    stripped = schema.normalize_missing(cells.filter(values.is_null()))
    return len(stripped) - stripped.null_count()


def describe_anomalies(anomalies: Mapping[str, CountsByColumn]) -> list[str]:
    """What is odd, a line for each sort, with the columns and their counts."""
    descriptions = {
        "unread": "cells that cannot be read and count as missing",
        "unseen": "cells with a category that was never seen in training",
        "outside": "cells far outside of what was seen in training",
    }
    return [
        f"{descriptions[anomaly_type]}: {', '.join(f'{name} {count:,}' for name, count in counts.items())}"
        for anomaly_type, counts in anomalies.items()
        if counts
    ]
