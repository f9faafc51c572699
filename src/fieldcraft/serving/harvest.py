"""Rows to learn from: what was asked at work, with what turned out to be true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.words import listed
from fieldcraft.data.table import Column, Schema
from fieldcraft.serving.labels import LABEL, REQUEST, ROW
from fieldcraft.serving.windows import parts

TAKEN = (REQUEST, ROW)
MOMENT = "%Y-%m-%d %H:%M:%S%.f"


def labelled(
    log: Path, labels: pl.DataFrame, schema: Schema, target: Column, time: Column | None
) -> pl.DataFrame:
    """The logged rows that have a label, their cells spelt so that they read as what was seen.

    Args:
        log: folder of the prediction log.
        labels: what `serving.labels` has joined.
        schema: of the model.
        target: column that gets the label.
        time: column that orders rows; where the log lacks it, it is the time of the request.

    Returns:
        A column for each that the schema needs and the log has, the target, ``request`` and
        ``row``, in the order in which labels came.

    Raises:
        DataError: the log lacks a column of the model, or one cannot be spelt.
    """
    keyed = labels.select(REQUEST, ROW, LABEL).with_row_index("(order)")
    found = [
        table.join(keyed, on=[REQUEST, ROW], how="inner")
        for table in (pl.read_parquet(part) for part in parts(log))
    ]
    found = [piece for piece in found if piece.height]
    if not found:
        return pl.DataFrame(schema={target.name: pl.String, REQUEST: pl.String, ROW: pl.Int64})
    rows = pl.concat(found, how="diagonal_relaxed")
    rows = rows.unique([REQUEST, ROW], keep="first").sort("(order)")
    absent = [column.name for column in schema.needed if column.name not in rows.columns]
    if absent:
        raise DataError(
            "the prediction log does not hold all that the model learns from",
            seen=f"missing: {listed(absent)}",
            way_out="give the labelled rows as a table: fieldcraft retrain --rows FILE; or let the "
            "log keep the columns (deploy.serve.without), and compute none from unused ones",
        )
    cells = [spelt(rows[column.name], column, schema) for column in schema.needed]
    seen = {column.name for column in schema.needed}
    if time is not None and time.name not in seen and schema.type_of(time).is_temporal():
        cells.append(spelt(rows["time"], time, schema).alias(time.name))
    number = schema.type_of(target).is_numeric()  # labels of classes are kept as they are spelt
    label = written(rows[LABEL].cast(pl.Float64), target.options) if number else rows[LABEL]
    return pl.DataFrame([*cells, label.alias(target.name), rows[REQUEST], rows[ROW]])


def spelt(values: pl.Series, column: Column, schema: Schema) -> pl.Series:
    """Cells of a text table that are read as these values.

    Raises:
        DataError: there is a value that no cell is read as.
    """
    cells = written(values, column.options)
    read = schema.parse(cells, column)
    same = read.eq_missing(values.cast(read.dtype, strict=False))
    if not same.all():
        value = values.filter(~same)[0]
        raise DataError(
            f"logged values of {column.name!r} cannot be turned back into cells",
            seen=f"{value!r}, {(~same).sum():,} such rows",
            way_out="give the labelled rows as a table: fieldcraft retrain --rows FILE",
        )
    return cells


def written(values: pl.Series, options: Mapping[str, Any]) -> pl.Series:
    """Values as text, in the form that a column's options ask for."""
    if values.dtype.is_temporal():
        form = options.get("format", "%Y-%m-%d")
        return values.dt.strftime(MOMENT if form == "native" else form)
    text = values.cast(pl.String)
    if not values.dtype.is_float():
        return text
    whole = text.str.replace(r"\.0$", "")
    return whole.str.replace(".", options.get("decimal", "."), literal=True)


def untaken(labels: pl.DataFrame, taken: Sequence[Path]) -> pl.DataFrame:
    """The labels of predictions that no earlier rows were made of."""
    for path in taken:
        labels = labels.join(pl.read_parquet(path), on=list(TAKEN), how="anti")
    return labels
