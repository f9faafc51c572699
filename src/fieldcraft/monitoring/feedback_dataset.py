"""Build training rows from live traffic: logged features with the labels that arrived later.

The log holds parsed values, while training data are tables of text. So values are formatted as
cells that parse to the same values, and retraining treats the rows like any others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import truncated_list
from fieldcraft.data.prediction_log import INPUT_PREFIX, TIME_COLUMN, list_parts
from fieldcraft.data.schema import Column, Schema
from fieldcraft.monitoring.feedback import KEY_COLUMNS, LABEL_COLUMN

# These columns stand beside the features; the prefix keeps their names apart.
USED_ROW_KEYS = tuple(f"log.{name}" for name in KEY_COLUMNS)
ORDER_COLUMN = "log.order"
DATETIME_FORMAT = "%Y-%m-%d %H:%M:%S%.f"


def join_logged_rows(
    log: Path, labels: pl.DataFrame, schema: Schema, target: Column, time_column: Column | None
) -> pl.DataFrame:
    """Return the logged rows that have a label, as a table of text.

    Args:
        log: folder of the prediction log.
        labels: labeled predictions: see `feedback.join_labels`.
        schema: schema of the model.
        target: column that gets the label.
        time_column: column that orders rows; if it is not logged, the time of the request is used.

    Returns:
        The input columns of the schema, the target and `USED_ROW_KEYS`, in the order in which the
        labels arrived.

    Raises:
        DataError: the log lacks a column of the model, or a value cannot be formatted.
    """
    ordered_labels = labels.select(*KEY_COLUMNS, LABEL_COLUMN).with_row_index(ORDER_COLUMN)
    joined_parts = [
        table.join(ordered_labels, on=KEY_COLUMNS, how="inner", maintain_order="left")
        for table in (pl.read_parquet(part) for part in list_parts(log))
    ]
    joined_parts = [part for part in joined_parts if part.height]
    if not joined_parts:
        key_types = dict(zip(USED_ROW_KEYS, (pl.String, pl.Int64), strict=True))
        return pl.DataFrame(schema={target.name: pl.String, **key_types})
    # Diagonal, because parts of an earlier version may log other columns. Of predictions with the
    # same keys the first one counts, as in `feedback.join_predictions`.
    rows = pl.concat(joined_parts, how="diagonal_relaxed")
    rows = rows.unique(KEY_COLUMNS, keep="first").sort(ORDER_COLUMN)
    missing = [
        column.name
        for column in schema.input_columns
        if INPUT_PREFIX + column.name not in rows.columns
    ]
    if missing:
        raise DataError(
            "the prediction log does not hold all columns that the model is trained on",
            detail=f"missing: {truncated_list(missing)}",
            hint="pass the labeled rows as a table: fieldcraft retrain --data FILE; or log all "
            "columns (deploy.serve.log_exclude), and derive none from columns that are dropped",
        )
    cells = [
        values_to_cells(rows[INPUT_PREFIX + column.name].alias(column.name), column, schema)
        for column in schema.input_columns
    ]
    column_names = {column.name for column in schema.input_columns}
    if (
        time_column is not None
        and time_column.name not in column_names
        and schema.dtype_of(time_column).is_temporal()
    ):
        cells.append(
            values_to_cells(rows[TIME_COLUMN], time_column, schema).alias(time_column.name)
        )
    label = rows[LABEL_COLUMN]
    if schema.dtype_of(target).is_numeric():
        label = format_values(label.cast(pl.Float64), target.options)
    keys = [rows[name].alias(key) for name, key in zip(KEY_COLUMNS, USED_ROW_KEYS, strict=True)]
    return pl.DataFrame([*cells, label.alias(target.name), *keys])


def values_to_cells(values: pl.Series, column: Column, schema: Schema) -> pl.Series:
    """Format values as cells of a text table that parse to the same values.

    Raises:
        DataError: no cell parses to one of the values.
    """
    cells = format_values(values, column.options)
    # Check the round trip: a text that marks missing values, for example, would become null.
    parsed = schema.parse(cells, column)
    is_equal = parsed.eq_missing(values.cast(parsed.dtype, strict=False))
    if not is_equal.all():
        value = values.filter(~is_equal)[0]
        raise DataError(
            f"logged values of {column.name!r} cannot be formatted as cells",
            detail=f"{value!r}, {(~is_equal).sum():,} such rows",
            hint="pass the labeled rows as a table: fieldcraft retrain --data FILE",
        )
    return cells


def format_values(values: pl.Series, options: Mapping[str, Any]) -> pl.Series:
    """Format values as text by the options of their column."""
    if values.dtype.is_temporal():
        datetime_format = options.get("format", "%Y-%m-%d")
        return values.dt.strftime(
            DATETIME_FORMAT if datetime_format == "native" else datetime_format
        )
    text = values.cast(pl.String)
    if not values.dtype.is_float():
        return text
    # 30.0 becomes 30, as people write whole numbers; both parse to the same value.
    without_zero_fraction = text.str.replace(r"\.0$", "")
    return without_zero_fraction.str.replace(".", options.get("decimal", "."), literal=True)


def exclude_used(labels: pl.DataFrame, used_paths: Sequence[Path]) -> pl.DataFrame:
    """Return the labels of predictions that no earlier retraining used.

    Args:
        labels: labeled predictions.
        used_paths: Parquet files with the `USED_ROW_KEYS` of each earlier retraining.
    """
    for path in used_paths:
        labels = labels.join(
            pl.read_parquet(path), left_on=KEY_COLUMNS, right_on=list(USED_ROW_KEYS), how="anti"
        )
    return labels
