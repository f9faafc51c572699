"""Put further tables beside the rows, compute columns from others, choose rows by a condition.

Expressions are SQL, evaluated by Polars on parsed values. A bundle carries them, so that they mean
the same when it predicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError, near
from fieldcraft.data.parse import strip

TRIED = 20  # rows by which an expression shows that it looks at one row at a time
CLOSE = 1e-9  # relative difference of floats that are the same


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
    """The columns that an expression reads.

    Raises:
        DataError: it is not an expression, or reads no column.
    """
    found = list(dict.fromkeys(expression(sql, where).meta.root_names()))
    if not found:
        raise DataError(
            f"{where} reads no column",
            seen=sql,
            way_out="compute it from columns of the table; a text stands in 'single quotes', a "
            'name in "double" ones',
        )
    return found


def evaluate(values: pl.DataFrame, sql: str, where: str) -> pl.Series:
    """An expression on parsed values, one result a row.

    Raises:
        DataError: no column is read or one is not there, the types do not fit, or the result of
            a row depends on other rows.
    """
    unknown = [name for name in names_in(sql, where) if name not in values.columns]
    if unknown:
        raise DataError(
            f"{where} names a column that is not there",
            seen=f"{unknown[0]} in: {sql}",
            way_out=f"use columns of the table; {near(unknown[0], values.columns)}",
        )
    wanted = expression(sql, where).alias("found")
    try:
        found = values.select(wanted).to_series()
        by_itself = stays_alone(values, wanted, found)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{where} cannot be computed",
            seen=f"{sql}: {str(error).splitlines()[0]}",
            way_out="make the types fit: columns are of the kinds that data.columns says, a day "
            "stands as date '2024-12-31', and try_cast(x as int) is empty where x is no number",
        ) from error
    if not by_itself:
        raise DataError(
            f"{where} looks at more than one row",
            seen=sql,
            way_out="use expressions of one row; sums and means over rows would let test rows "
            "into training",
        )
    if found.dtype.is_nested():
        raise DataError(
            f"{where} gives more than one value a row",
            seen=f"{sql} gives {found.dtype}",
            way_out="take one of the values, such as the first",
        )
    return found


def stays_alone(values: pl.DataFrame, wanted: pl.Expr, found: pl.Series) -> bool:
    """Whether results stay the same when other rows are taken away."""
    if len(found) != values.height:
        return False
    each = [row.select(wanted).to_series() for row in values.head(TRIED).iter_slices(1)]
    pairs = [(one, found[i : i + 1]) for i, one in enumerate(each)]
    pairs.append((values.gather_every(2).select(wanted).to_series(), found.gather_every(2)))
    return all(len(a) == len(b) and alike(a, b) for a, b in pairs)


def alike(one: pl.Series, other: pl.Series) -> bool:
    """Whether results are the same, but for the last digits: those depend on how many there are."""
    if not one.dtype.is_float():
        return one.equals(other, null_equal=True)
    close = np.isclose(one.to_numpy(), other.to_numpy(), rtol=CLOSE, atol=0, equal_nan=True)
    return bool(close.all() and (one.is_null() == other.is_null()).all())


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
        text = cells.cast(pl.String).str.replace(r"^([+-]?\d+)\.0+$", "$1")
        found.append(text.alias(f"key {len(found)}"))
    return pl.DataFrame(found)


def join(frame: pl.DataFrame, table: pl.DataFrame, on: Sequence[str]) -> pl.DataFrame:
    """The frame with the columns of a table beside it, empty where no key fits.

    Raises:
        DataError: a key column is missing, a key stands in the table more than once, or both
            tables have another column of the same name.
    """
    for name, side in [(name, side) for name in on for side in (frame, table)]:
        if name not in side.columns:
            raise DataError(
                "the tables cannot be joined",
                seen=f"no column {name!r} among {', '.join(side.columns[:8])}",
                way_out=f"set data.join.on to columns of both tables; {near(name, side.columns)}",
            )
    added = [name for name in table.columns if name not in on]
    twice = [name for name in added if name in frame.columns]
    if twice:
        raise DataError(
            "a joined table brings columns that are there already",
            seen=", ".join(twice[:8]),
            way_out="set data.join.columns to those you want, or give one of them another name",
        )
    right = keys(table, on)
    there = right.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    table, right = table.filter(there), right.filter(there)  # an empty key fits nothing
    if right.is_duplicated().any():
        key = right.filter(right.is_duplicated()).row(0)
        raise DataError(
            "a joined table has more than one row for a key",
            seen=f"{', '.join(on)}: {', '.join(map(str, key))}",
            way_out="give one row for each key, such as sums or the latest row",
        )
    beside = pl.concat([right, table.select(added)], how="horizontal")
    left = pl.concat([frame, keys(frame, on)], how="horizontal")
    return left.join(beside, on=right.columns, how="left", maintain_order="left").drop(
        right.columns
    )
