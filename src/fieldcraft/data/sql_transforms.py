"""Join tables, compute derived columns, and filter rows with SQL expressions.

Polars evaluates the expressions on parsed values. A bundle contains them, so that they give the
same values when it predicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.data.cell_parser import normalize_missing

N_TRIAL_ROWS = 20  # evaluated one by one, to check that an expression uses only its own row
FLOAT_RTOL = 1e-9  # relative difference of floats that count as equal


def parse_sql(sql: str, setting: str) -> pl.Expr:
    """Parse an SQL expression.

    Args:
        sql: the expression.
        setting: the entry of the project file that holds it, for messages.

    Raises:
        DataError: it is invalid.
    """
    try:
        return pl.sql_expr(sql)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise DataError(
            f"{setting} is not a valid SQL expression",
            detail=f"{sql}: {str(error).splitlines()[0]}",
            hint='write it as in SQL, with unusual names in double quotes: "total" / months',
        ) from error


def referenced_columns(sql: str, setting: str) -> list[str]:
    """Return the columns that an expression uses.

    Raises:
        DataError: it is invalid, or uses no column.
    """
    columns = list(dict.fromkeys(parse_sql(sql, setting).meta.root_names()))
    if not columns:
        raise DataError(
            f"{setting} uses no column",
            detail=sql,
            hint="compute it from columns of the table; texts have 'single quotes', names "
            'have "double quotes"',
        )
    return columns


def evaluate_sql(values: pl.DataFrame, sql: str, setting: str) -> pl.Series:
    """Evaluate an expression on parsed values, with one result per row.

    Raises:
        DataError: it uses no column or an unknown one, the types do not fit, or the result of a
            row depends on other rows.
    """
    unknown = [name for name in referenced_columns(sql, setting) if name not in values.columns]
    if unknown:
        raise DataError(
            f"{setting} uses an unknown column",
            detail=f"{unknown[0]} in: {sql}",
            hint=f"use columns of the table; {did_you_mean(unknown[0], values.columns)}",
        )
    expr = parse_sql(sql, setting).alias("result")
    try:
        results = values.select(expr).to_series()
        is_rowwise = is_rowwise_expression(values, expr, results)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{setting} cannot be computed",
            detail=f"{sql}: {str(error).splitlines()[0]}",
            hint="make the types fit: data.columns sets the kinds of columns, a date is written "
            "date '2024-12-31', and try_cast(x as int) is null where x is not a number",
        ) from error
    if not is_rowwise:
        raise DataError(
            f"{setting} uses more than one row",
            detail=sql,
            hint="use expressions of a single row; sums and means over rows would leak test rows "
            "into training",
        )
    if results.dtype.is_nested():
        raise DataError(
            f"{setting} gives more than one value per row",
            detail=f"{sql} gives {results.dtype}",
            hint="select one of the values, such as the first",
        )
    return results


def is_rowwise_expression(values: pl.DataFrame, expr: pl.Expr, results: pl.Series) -> bool:
    """Return whether the results of rows stay the same without the other rows."""
    # Single rows reveal sums, ranks and shifts. Every second row reveals what single rows cannot
    # show, such as a condition that is constant on one row.
    if len(results) != values.height:
        return False
    row_results = [row.select(expr).to_series() for row in values.head(N_TRIAL_ROWS).iter_slices(1)]
    pairs = [(row_result, results[i : i + 1]) for i, row_result in enumerate(row_results)]
    pairs.append((values.gather_every(2).select(expr).to_series(), results.gather_every(2)))
    return all(len(a) == len(b) and is_equal(a, b) for a, b in pairs)


def is_equal(first: pl.Series, second: pl.Series) -> bool:
    """Return whether results are equal up to rounding."""
    # The last digits may depend on the number of rows: rows beyond the last full vector are
    # computed with other instructions.
    if not first.dtype.is_float():
        return first.equals(second, null_equal=True)
    is_close = np.isclose(
        first.to_numpy(), second.to_numpy(), rtol=FLOAT_RTOL, atol=0, equal_nan=True
    )
    return bool(is_close.all() and (first.is_null() == second.is_null()).all())


def add_derived_columns(values: pl.DataFrame, expressions: Mapping[str, str]) -> pl.DataFrame:
    """Add derived columns, each of which may use those before it."""
    for name, sql in expressions.items():
        values = values.with_columns(
            evaluate_sql(values, sql, f"data.derived_columns.{name}").alias(name)
        )
    return values


def filter_mask(values: pl.DataFrame, condition: str) -> pl.Series:
    """Return the mask of rows that meet a condition; null counts as false, as in SQL.

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
    """Convert key columns to text, so that 7, 7.0 and "7" are equal."""
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
    """Join the columns of a table to a frame, null where no key matches.

    Raises:
        DataError: a key column is missing, a key occurs in the table more than once, or another
            column is in both tables.
    """
    for name, side in [(name, side) for name in on for side in (frame, table)]:
        if name not in side.columns:
            raise DataError(
                "the tables cannot be joined",
                detail=f"no column {name!r} among {', '.join(side.columns[:8])}",
                hint="set data.join.on to columns of both tables; "
                f"{did_you_mean(name, side.columns)}",
            )
    added_columns = [name for name in table.columns if name not in on]
    duplicate_columns = [name for name in added_columns if name in frame.columns]
    if duplicate_columns:
        raise DataError(
            "a joined table has columns that exist already",
            detail=", ".join(duplicate_columns[:8]),
            hint="set data.join.columns to the columns you need, or rename one of them",
        )
    right_keys = normalize_keys(table, on)
    has_key = right_keys.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    # As in SQL, a null key matches nothing, so several rows without a key are not duplicates.
    table, right_keys = table.filter(has_key), right_keys.filter(has_key)
    # A duplicate key would multiply rows, and change their number, weights and parts.
    if right_keys.is_duplicated().any():
        key = right_keys.filter(right_keys.is_duplicated()).row(0)
        raise DataError(
            "a joined table has more than one row for a key",
            detail=f"{', '.join(on)}: {', '.join(map(str, key))}",
            hint="reduce it to one row per key, such as sums or the latest row",
        )
    # Normalized keys have names of their own ("key 0"), so the key columns of the frame stay.
    right_rows = pl.concat([right_keys, table.select(added_columns)], how="horizontal")
    left_rows = pl.concat([frame, normalize_keys(frame, on)], how="horizontal")
    return left_rows.join(
        right_rows, on=right_keys.columns, how="left", maintain_order="left"
    ).drop(right_keys.columns)
