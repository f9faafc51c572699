"""Put further tables beside the rows, compute columns from others, choose rows by a condition.

Expressions are SQL, evaluated by Polars on parsed values. A bundle carries them, so that they mean
the same when it predicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from fieldcraft.core.errors import DataError, near
from fieldcraft.data.parse import strip

TRIED = 20  # rows by which an expression shows that it looks at one row at a time


def expression(sql: str, where: str) -> pl.Expr:
    """A SQL expression, ready to be evaluated.

    Raises:
        DataError: it is not one.
    """
    try:
        return pl.sql_expr(sql)
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise DataError(
            f"{where} is not an SQL expression that can be read",
            seen=f"{sql}: {str(error).splitlines()[0]}",
            way_out='write it as in SQL, names with odd signs in double quotes: "total" / months',
        ) from error


def names_in(sql: str, where: str) -> list[str]:
    """The columns that an expression reads."""
    return list(dict.fromkeys(expression(sql, where).meta.root_names()))


def evaluate(values: pl.DataFrame, sql: str, where: str) -> pl.Series:
    """An expression on parsed values, one result a row.

    Raises:
        DataError: a column is not there, the types do not fit, or the result of a row depends on
            other rows.
    """
    wanted = expression(sql, where)
    unknown = [name for name in names_in(sql, where) if name not in values.columns]
    if unknown:
        raise DataError(
            f"{where} names a column that is not there",
            seen=f"{unknown[0]} in: {sql}",
            way_out=f"use columns of the table; {near(unknown[0], values.columns)}",
        )
    try:
        found = values.select(wanted.alias("found")).to_series()
        alone = [row.select(wanted.alias("found")) for row in values.head(TRIED).iter_slices(1)]
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{where} cannot be computed",
            seen=f"{sql}: {str(error).splitlines()[0]}",
            way_out="make the types fit: numbers, texts and dates are as data.columns says",
        ) from error
    each = pl.concat(alone).to_series() if alone else found
    if len(found) != values.height or not each.equals(found.head(TRIED), null_equal=True):
        raise DataError(
            f"{where} looks at more than one row",
            seen=sql,
            way_out="use expressions of one row; sums and means over rows would let test rows "
            "into training",
        )
    return found


def derive(values: pl.DataFrame, expressions: Mapping[str, str]) -> pl.DataFrame:
    """The values with computed columns, each of which may use those before it."""
    for name, sql in expressions.items():
        values = values.with_columns(evaluate(values, sql, f"data.derive.{name}").alias(name))
    return values


def matching(values: pl.DataFrame, condition: str) -> pl.Series:
    """Which rows meet a condition; where it cannot be told, they do not.

    Raises:
        DataError: the expression is not a condition.
    """
    found = evaluate(values, condition, "data.filter")
    if found.dtype != pl.Boolean:
        raise DataError(
            "data.filter is not a condition",
            seen=f"{condition} gives {found.dtype}, not true or false",
            way_out="write a comparison, such as age >= 18",
        )
    return found.fill_null(False)


def keys(frame: pl.DataFrame, on: Sequence[str]) -> pl.DataFrame:
    """Key columns as texts that are alike whether a file holds 7, 7.0 or "7"."""
    found: list[pl.Series] = []
    for name in on:
        cells = strip(frame[name])
        if cells.dtype.is_float():
            whole = cells.cast(pl.Int64, strict=False)
            same = (whole.cast(cells.dtype) == cells).fill_null(False)
            cells = whole.cast(pl.String).zip_with(same, cells.cast(pl.String))
        found.append(cells.cast(pl.String).str.strip_suffix(".0").alias(f"key {len(found)}"))
    return pl.DataFrame(found)


def join(frame: pl.DataFrame, table: pl.DataFrame, on: Sequence[str]) -> pl.DataFrame:
    """The frame with the columns of a table beside it, empty where no key fits.

    Raises:
        DataError: a key column is missing, or a key stands in the table more than once.
    """
    for name, side in [(name, side) for name in on for side in (frame, table)]:
        if name not in side.columns:
            raise DataError(
                "the tables cannot be joined",
                seen=f"no column {name!r} among {', '.join(side.columns[:8])}",
                way_out=f"set data.join.on to columns of both tables; {near(name, side.columns)}",
            )
    right = keys(table, on)
    if right.is_duplicated().any():
        twice = right.filter(right.is_duplicated()).row(0)
        raise DataError(
            "a joined table has more than one row for a key",
            seen=f"{', '.join(on)}: {', '.join(map(str, twice))}",
            way_out="give one row for each key, such as sums or the latest row",
        )
    added = [name for name in table.columns if name not in on and name not in frame.columns]
    beside = pl.concat([right, table.select(added)], how="horizontal")
    left = pl.concat([frame, keys(frame, on)], how="horizontal")
    return left.join(beside, on=right.columns, how="left", maintain_order="left").drop(
        right.columns
    )
