"""Frames of plain columns: from Polars and pandas ones, and from lists of values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.blobs import holds_files, named_files
from fieldcraft.data.cut import checked_names

WITHOUT_KIND = frozenset({pl.Binary, pl.Object, pl.List, pl.Array, pl.Struct})
AS_FLOATS = frozenset({pl.Decimal, pl.Time, pl.Duration})
WHOLE = 2**63  # integers from here on do not fit a column of them
EXACT = 2**53  # integers up to here keep their value as floats


def from_frame(frame: Any) -> pl.DataFrame:
    """A Polars frame from a Polars or pandas one; the row index of pandas is left behind.

    Raises:
        DataError: the object is neither, or its columns are mixed or share a name.
    """
    if isinstance(frame, pl.DataFrame):
        return plain_columns(frame)
    if isinstance(frame, pl.LazyFrame):
        return plain_columns(frame.collect())
    if type(frame).__module__.startswith("pandas") and hasattr(frame, "columns"):
        try:
            found: pl.DataFrame = with_files(pl.from_pandas(frame.rename(columns=str)))
        except (TypeError, ValueError) as error:  # pyarrow's own errors are among these
            raise DataError(
                "this pandas table cannot be turned into typed columns",
                seen=str(error).splitlines()[0],
                way_out="use one type and a name of its own for each column; "
                "a mixed column reads as text: frame[name].astype(str)",
            ) from error
        return found
    raise DataError(
        "this is not a table",
        seen=f"an object of type {type(frame).__name__}",
        way_out="pass a Polars or pandas DataFrame, or the path of a file",
    )


def plain_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with decimals as floats, times of day and durations as seconds, photos as files.

    Raises:
        DataError: a column holds lists, records or bytes, of which no kind of column is made.
    """
    frame = with_files(frame)
    kinds = {name: kind.base_type() for name, kind in frame.schema.items()}
    odd = [name for name, kind in kinds.items() if kind in WITHOUT_KIND]
    if odd:
        raise DataError(
            "some columns do not hold single values",
            seen=", ".join(f"{name} ({frame.schema[name]})" for name in odd[:5]),
            way_out="drop them, or set them out as columns of numbers, words or dates; bytes are "
            "read where they are photos",
        )
    if AS_FLOATS.isdisjoint(kinds.values()):
        return frame
    return frame.with_columns(
        pl.col(pl.Decimal).cast(pl.Float64),
        pl.col(pl.Time).cast(pl.Duration).dt.total_seconds(),
        pl.col(pl.Duration).dt.total_seconds(),
    )


def with_files(frame: pl.DataFrame, sure: Collection[str] = ()) -> pl.DataFrame:
    """The frame with the names of files in place of photos that its cells hold as bytes.

    Args:
        frame: cells as read.
        sure: columns of which other cells are photos.
    """
    blobs = [name for name, kind in frame.schema.items() if holds_files(kind)]
    found = [named_files(frame[name], name in sure) for name in blobs]
    named = [names for names in found if names is not None]
    return frame.with_columns(named) if named else frame


def renamed(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """The frame with the names that were given, if any were.

    Raises:
        DataError: the names do not fit.
    """
    if not names:
        return frame
    return frame.rename(dict(zip(frame.columns, checked_names(names, frame.width), strict=True)))


def column_of(name: str, values: Sequence[Any]) -> pl.Series:
    """A column of values of any type: numbers or truth values where all are, else text.

    Raises:
        DataError: a value is a list, a record or bytes.
    """
    types = {type(value) for value in values} - {type(None)}
    if odd := sorted(kind.__name__ for kind in types - {bool, int, float, str}):
        raise DataError(
            f"the column {name!r} does not hold single values",
            seen=f"a value of type {odd[0]}",
            way_out="leave the column out, or set it out as columns of numbers, words or dates",
        )
    whole = (abs(value) for value in values if type(value) is int)
    return column_as(name, values, type_of(types, max(whole, default=0)))


def type_of(types: Collection[type], most: int) -> pl.DataType:
    """What a column of values of some types is: numbers or truth values where all are, else text.

    Args:
        types: of all values, but for None.
        most: the largest of the whole numbers, signs aside.
    """
    found = set(types)
    if found == {bool}:
        return pl.Boolean()
    if found == {int} and most < WHOLE:
        return pl.Int64()
    return pl.Float64() if found in ({float}, {int, float}) and most <= EXACT else pl.String()


def column_as(name: str, values: Sequence[Any], kind: pl.DataType) -> pl.Series:
    """A column of single values as a type that `type_of` told for them."""
    if kind == pl.String:
        return pl.Series(name, [said(value) for value in values], dtype=pl.String)
    return pl.Series(name, values, dtype=kind, strict=kind != pl.Float64)


def said(value: str | float | bool | None) -> str | None:
    """A word, number or truth value as text.

    >>> said(True), said(2), said(0.5), said("two")
    ('true', '2', '0.5', 'two')
    """
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)
