"""Rows to learn from: what was asked at work, with what turned out to be true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.formatting import truncated_list
from fieldcraft.data.schema import Column, Schema
from fieldcraft.monitoring.feedback import LABEL_COLUMN, REQUEST_COLUMN, ROW_COLUMN
from fieldcraft.monitoring.windows import list_parts

USED_ROW_KEYS = (REQUEST_COLUMN, ROW_COLUMN)
DATETIME_FORMAT = "%Y-%m-%d %H:%M:%S%.f"


def join_logged_rows(
    log: Path, labels: pl.DataFrame, schema: Schema, target: Column, time_column: Column | None
) -> pl.DataFrame:
    """The logged rows that have a label, their cells spelt so that they read as what was seen.

    Args:
        log: folder of the prediction log.
        labels: what `serving.labels` has joined.
        schema: of the model.
        target: column that gets the label.
        time_column: column that orders rows; where the log lacks it, it is the time of the request.

    Returns:
        A column for each that the schema needs and the log has, the target, ``request`` and
        ``row``, in the order in which labels came.

    Raises:
        DataError: the log lacks a column of the model, or one cannot be spelt.
    """
    ordered_labels = labels.select(REQUEST_COLUMN, ROW_COLUMN, LABEL_COLUMN).with_row_index(
        "(order)"
    )
    joined_parts = [
        table.join(ordered_labels, on=[REQUEST_COLUMN, ROW_COLUMN], how="inner")
        for table in (pl.read_parquet(part) for part in list_parts(log))
    ]
    joined_parts = [piece for piece in joined_parts if piece.height]
    if not joined_parts:
        return pl.DataFrame(
            schema={target.name: pl.String, REQUEST_COLUMN: pl.String, ROW_COLUMN: pl.Int64}
        )
    rows = pl.concat(joined_parts, how="diagonal_relaxed")
    rows = rows.unique([REQUEST_COLUMN, ROW_COLUMN], keep="first").sort("(order)")
    missing = [column.name for column in schema.input_columns if column.name not in rows.columns]
    if missing:
        raise DataError(
            "the prediction log does not hold all that the model learns from",
            detail=f"missing: {truncated_list(missing)}",
            hint="give the labelled rows as a table: fieldcraft retrain --rows FILE; or let the "
            "log keep the columns (deploy.serve.without), and compute none from unused ones",
        )
    cells = [values_to_cells(rows[column.name], column, schema) for column in schema.input_columns]
    column_names = {column.name for column in schema.input_columns}
    if (
        time_column is not None
        and time_column.name not in column_names
        and schema.dtype_of(time_column).is_temporal()
    ):
        cells.append(values_to_cells(rows["time"], time_column, schema).alias(time_column.name))
    is_numeric = schema.dtype_of(
        target
    ).is_numeric()  # labels of classes are kept as they are spelt
    label = (
        format_values(rows[LABEL_COLUMN].cast(pl.Float64), target.options)
        if is_numeric
        else rows[LABEL_COLUMN]
    )
    return pl.DataFrame([*cells, label.alias(target.name), rows[REQUEST_COLUMN], rows[ROW_COLUMN]])


def values_to_cells(values: pl.Series, column: Column, schema: Schema) -> pl.Series:
    """Cells of a text table that are read as these values.

    Raises:
        DataError: there is a value that no cell is read as.
    """
    cells = format_values(values, column.options)
    parsed = schema.parse(cells, column)
    is_equal = parsed.eq_missing(values.cast(parsed.dtype, strict=False))
    if not is_equal.all():
        value = values.filter(~is_equal)[0]
        raise DataError(
            f"logged values of {column.name!r} cannot be turned back into cells",
            detail=f"{value!r}, {(~is_equal).sum():,} such rows",
            hint="give the labelled rows as a table: fieldcraft retrain --rows FILE",
        )
    return cells


def format_values(values: pl.Series, options: Mapping[str, Any]) -> pl.Series:
    """Values as text, in the form that a column's options ask for."""
    if values.dtype.is_temporal():
        datetime_format = options.get("format", "%Y-%m-%d")
        return values.dt.strftime(
            DATETIME_FORMAT if datetime_format == "native" else datetime_format
        )
    text = values.cast(pl.String)
    if not values.dtype.is_float():
        return text
    without_zero_fraction = text.str.replace(r"\.0$", "")
    return without_zero_fraction.str.replace(".", options.get("decimal", "."), literal=True)


def exclude_used(labels: pl.DataFrame, used_paths: Sequence[Path]) -> pl.DataFrame:
    """The labels of predictions that no earlier rows were made of."""
    for path in used_paths:
        labels = labels.join(pl.read_parquet(path), on=list(USED_ROW_KEYS), how="anti")
    return labels
