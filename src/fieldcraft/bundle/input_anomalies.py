"""Count the cells that a model was not trained for: unparseable or unlike the training rows."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from fieldcraft.core.types import Json
from fieldcraft.data.schema import Schema, load_kind
from fieldcraft.statistics.reference_profile import is_far_outside

CountsByColumn = dict[str, int]
VALUE_STATISTIC = "value"  # the drift statistic of a column that is the value itself
ANOMALY_TYPES = ("unparseable", "unseen_category", "out_of_range")


def count_input_anomalies(
    cells: pl.DataFrame, schema: Schema, profile: Json, values: pl.DataFrame | None = None
) -> dict[str, CountsByColumn]:
    """The number of anomalous cells of each column, by type; their rows are predicted nevertheless.

    ``unparseable``: not a value of the column's kind, such as a word in a column of numbers; it
    counts as missing. ``unseen_category``: a category that no training row has. ``out_of_range``:
    a number or time further outside the range of the training rows than that range is wide.

    Args:
        cells: cells as given, with the columns of the schema.
        schema: of the model.
        profile: the reference profile of the columns.
        values: the parsed rows, if the schema parsed them already.
    """
    parsed_frame = schema.apply(cells) if values is None else values
    counts_by_type: dict[str, CountsByColumn] = {anomaly_type: {} for anomaly_type in ANOMALY_TYPES}
    for column in schema.input_columns:
        column_cells, is_parsed = cells[column.name], column.name in parsed_frame.columns
        values_of_column = (
            parsed_frame[column.name] if is_parsed else schema.parse(column_cells, column)
        )
        counts = {"unparseable": count_unparseable(column_cells, values_of_column, schema)}
        reference = profile.get("columns", {}).get(column.name, {}).get(VALUE_STATISTIC)
        if reference is not None:
            statistic = load_kind(column.kind).drift_statistics(values_of_column)[VALUE_STATISTIC]
            is_categorical = reference["type"] == "categorical"
            anomaly_type = "unseen_category" if is_categorical else "out_of_range"
            counts[anomaly_type] = int(is_far_outside(statistic, reference).sum())
        for anomaly_type, count in counts.items():
            if count:
                counts_by_type[anomaly_type][column.name] = count
    return counts_by_type


def count_unparseable(cells: pl.Series, values: pl.Series, schema: Schema) -> int:
    """The number of cells whose text their column's kind cannot parse."""
    if not values.null_count():
        return 0
    # Blank cells and missing-value markers become null; text that is left could not be parsed.
    null_cells = schema.normalize_missing(cells.filter(values.is_null()))
    return len(null_cells) - null_cells.null_count()


def describe_anomalies(anomalies: Mapping[str, CountsByColumn]) -> list[str]:
    """A line for each type of anomaly, with the columns and their counts."""
    descriptions = {
        "unparseable": "unparseable cells, which count as missing",
        "unseen_category": "cells with a category that was not seen in training",
        "out_of_range": "cells far out of the range seen in training",
    }
    lines = []
    for anomaly_type, counts in anomalies.items():
        if counts:
            counts_text = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            lines.append(f"{descriptions[anomaly_type]}: {counts_text}")
    return lines
