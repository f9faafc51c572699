"""Put further tables beside the rows, compute columns from others, choose rows by a condition.

Expressions are SQL, evaluated by Polars on parsed values. A bundle carries them, so that they mean
the same when it predicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.data.cell_parser import normalize_missing

N_TRIAL_ROWS = 20  # rows by which an expression shows that it looks at one row at a time
FLOAT_RTOL = 1e-9  # relative difference of floats that are the same


def parse_sql(sql: str, setting: str) -> pl.Expr:
    """A SQL expression, ready to be evaluated.

    Raises:
        DataError: it is not one.
    """
    try:
        return pl.sql_expr(sql)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise DataError(
            f"{setting} is not an SQL expression that can be read",
            detail=f"{sql}: {str(error).splitlines()[0]}",
            hint='write it as in SQL, names with odd signs in double quotes: "total" / months',
        ) from error


def referenced_columns(sql: str, setting: str) -> list[str]:
    """The columns that an expression reads.

    Raises:
        DataError: it is not an expression, or reads no column.
    """
    columns = list(dict.fromkeys(parse_sql(sql, setting).meta.root_names()))
    if not columns:
        raise DataError(
            f"{setting} reads no column",
            detail=sql,
            hint="compute it from columns of the table; a text stands in 'single quotes', a "
            'name in "double" ones',
        )
    return columns


def evaluate_sql(values: pl.DataFrame, sql: str, setting: str) -> pl.Series:
    """An expression on parsed values, one result a row.

    Raises:
        DataError: no column is read or one is not there, the types do not fit, or the result of
            a row depends on other rows.
    """
    unknown = [name for name in referenced_columns(sql, setting) if name not in values.columns]
    if unknown:
        raise DataError(
            f"{setting} names a column that is not there",
            detail=f"{unknown[0]} in: {sql}",
            hint=f"use columns of the table; {did_you_mean(unknown[0], values.columns)}",
        )
    expr = parse_sql(sql, setting).alias("found")
    try:
        results = values.select(expr).to_series()
        is_rowwise = is_rowwise_expression(values, expr, results)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{setting} cannot be computed",
            detail=f"{sql}: {str(error).splitlines()[0]}",
            hint="make the types fit: columns are of the kinds that data.columns says, a day "
            "stands as date '2024-12-31', and try_cast(x as int) is empty where x is no number",
        ) from error
    if not is_rowwise:
        raise DataError(
            f"{setting} looks at more than one row",
            detail=sql,
            hint="use expressions of one row; sums and means over rows would let test rows "
            "into training",
        )
    if results.dtype.is_nested():
        raise DataError(
            f"{setting} gives more than one value a row",
            detail=f"{sql} gives {results.dtype}",
            hint="take one of the values, such as the first",
        )
    return results


def is_rowwise_expression(values: pl.DataFrame, expr: pl.Expr, results: pl.Series) -> bool:
    """Whether results stay the same when other rows are taken away."""
    if len(results) != values.height:
        return False
    row_results = [row.select(expr).to_series() for row in values.head(N_TRIAL_ROWS).iter_slices(1)]
    pairs = [(row_result, results[i : i + 1]) for i, row_result in enumerate(row_results)]
    pairs.append((values.gather_every(2).select(expr).to_series(), results.gather_every(2)))
    return all(len(a) == len(b) and are_equal(a, b) for a, b in pairs)


def are_equal(first: pl.Series, second: pl.Series) -> bool:
    """Whether results are the same, but for the last digits: those depend on how many there are."""
    if not first.dtype.is_float():
        return first.equals(second, null_equal=True)
    is_close = np.isclose(
        first.to_numpy(), second.to_numpy(), rtol=FLOAT_RTOL, atol=0, equal_nan=True
    )
    return bool(is_close.all() and (first.is_null() == second.is_null()).all())


def add_derived_columns(values: pl.DataFrame, expressions: Mapping[str, str]) -> pl.DataFrame:
    """The values with computed columns, each of which may use those before it."""
    for name, sql in expressions.items():
        values = values.with_columns(evaluate_sql(values, sql, f"data.derive.{name}").alias(name))
    return values


def filter_mask(values: pl.DataFrame, condition: str) -> pl.Series:
    """Which rows meet a condition; where it cannot be told, they do not.

    Raises:
        DataError: the expression is not a condition.
    """
    mask = evaluate_sql(values, condition, "data.filter")
    if mask.dtype != pl.Boolean:
        raise DataError(
            "data.filter is not a condition",
            detail=f"{condition} gives {mask.dtype}, not true or false",
            hint="write a comparison, such as age >= 18",
        )
    return mask.fill_null(False)


def normalize_keys(frame: pl.DataFrame, on: Sequence[str]) -> pl.DataFrame:
    """Key columns as texts that are alike whether a file holds 7, 7.0 or "7"."""
    key_columns: list[pl.Series] = []
    for name in on:
        cells = normalize_missing(frame[name])
        if cells.dtype.is_float():
            integers = cells.cast(pl.Int64, strict=False)
            is_integer = (integers.cast(cells.dtype) == cells).fill_null(False)
            cells = integers.cast(pl.String).zip_with(is_integer, cells.cast(pl.String))
        text = cells.cast(pl.String).str.replace(r"^([+-]?\d+)\.0+$", "$1")
        key_columns.append(text.alias(f"key {len(key_columns)}"))
    return pl.DataFrame(key_columns)


def left_join(frame: pl.DataFrame, table: pl.DataFrame, on: Sequence[str]) -> pl.DataFrame:
    """The frame with the columns of a table beside it, empty where no key fits.

    Raises:
        DataError: a key column is missing, a key stands in the table more than once, or both
            tables have another column of the same name.
    """
    for name, side in [(name, side) for name in on for side in (frame, table)]:
        if name not in side.columns:
            raise DataError(
                "the tables cannot be joined",
                detail=f"no column {name!r} among {', '.join(side.columns[:8])}",
                hint=f"set data.join.on to columns of both tables; {did_you_mean(name, side.columns)}",
            )
    added_columns = [name for name in table.columns if name not in on]
    duplicate_columns = [name for name in added_columns if name in frame.columns]
    if duplicate_columns:
        raise DataError(
            "a joined table brings columns that are there already",
            detail=", ".join(duplicate_columns[:8]),
            hint="set data.join.columns to those you want, or give one of them another name",
        )
    right_keys = normalize_keys(table, on)
    has_key = right_keys.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    table, right_keys = (
        table.filter(has_key),
        right_keys.filter(has_key),
    )  # an empty key fits nothing
    if right_keys.is_duplicated().any():
        key = right_keys.filter(right_keys.is_duplicated()).row(0)
        raise DataError(
            "a joined table has more than one row for a key",
            detail=f"{', '.join(on)}: {', '.join(map(str, key))}",
            hint="give one row for each key, such as sums or the latest row",
        )
    right_rows = pl.concat([right_keys, table.select(added_columns)], how="horizontal")
    left_rows = pl.concat([frame, normalize_keys(frame, on)], how="horizontal")
    return left_rows.join(
        right_rows, on=right_keys.columns, how="left", maintain_order="left"
    ).drop(right_keys.columns)
