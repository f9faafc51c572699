"""Rows as Python hands them over (arrays, lists, frames) as one frame with typed columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import Array
from fieldcraft.core import catalogue
from fieldcraft.core.errors import InputError, near
from fieldcraft.data.look import looks
from fieldcraft.data.table import Column, Schema
from fieldcraft.develop.guess import guess_kind, missing_marks

Told = Mapping[str, str | Mapping[str, Any]]  # what the user says of columns: kind, options
ABSENT = ("NAType", "NaTType")  # what pandas puts where there is no value


def is_frame(rows: Any) -> bool:
    """Whether rows are a Polars or pandas frame."""
    library = type(rows).__module__.partition(".")[0]
    return library in ("polars", "pandas") and hasattr(rows, "columns")


def numbered(count: int, letter: str = "x") -> list[str]:
    """Names of columns that have none.

    >>> numbered(3)
    ['x0', 'x1', 'x2']
    """
    return [f"{letter}{i}" for i in range(count)]


def frame_of(values: Array, names: Sequence[str]) -> pl.DataFrame:
    """The frame of an array, shape (rows, columns)."""
    cells = [column_of(column, name) for column, name in zip(values.T, names, strict=True)]
    return pl.DataFrame(cells)


def column_of(cells: Array, name: str) -> pl.Series:
    """One column of an array; objects of several types are read as text, as from a CSV file."""
    match cells.dtype.kind:
        case "O":
            found = [None if is_absent(cell) else cell for cell in cells.tolist()]
            return of_objects(name, found)
        case "f":
            return pl.Series(name, cells.astype(np.float64))
        case "S" | "U":
            return pl.Series(name, cells.astype(str).tolist(), dtype=pl.String)
        case "m" | "M":
            return pl.Series(name, cells.astype(f"{cells.dtype.kind}8[us]"))
    return pl.Series(name, np.ascontiguousarray(cells))


def of_objects(name: str, cells: Sequence[Any]) -> pl.Series:
    """Objects as numbers, words or times where all are of that sort, else as text."""
    types = {type(cell) for cell in cells if cell is not None}
    if all(issubclass(kind, (int, float, np.number)) for kind in types):
        return pl.Series(name, cells, dtype=pl.Float64, strict=False)
    if len(types) == 1:
        series = pl.Series(name, cells)
        if series.dtype == pl.String or series.dtype.is_temporal():
            return series
    return pl.Series(name, [None if cell is None else str(cell) for cell in cells])


def is_absent(cell: Any) -> bool:
    """Whether a cell of an array of objects holds no value."""
    if isinstance(cell, float):
        return cell != cell
    return cell is None or type(cell).__name__ in ABSENT


def schema_of(frame: pl.DataFrame, told: Told, numbers: bool) -> Schema:
    """The columns that a model may use: of the kinds that the user says, others guessed.

    Args:
        frame: rows as handed over.
        told: columns of which the user says the kind, or the kind with its options.
        numbers: whether the rows come as an array of numbers, which are then taken for nothing
            else: a column that counts up may be the only one there is.

    Raises:
        InputError: the user speaks of a column or an option that is not there.
        PlugError: there is no such kind.
    """
    for name in told:
        if name not in frame.columns:
            raise InputError(
                f"columns says something of {name!r}, which is not a column",
                seen=", ".join(frame.columns[:8]),
                way_out=f"use names of columns; {near(name, frame.columns)}",
            )
    missing = tuple(missing_marks(frame))
    columns = []
    for name, look in looks(frame, missing).items():
        if name in told:
            columns.append(told_column(name, told[name]))
        elif numbers:
            columns.append(Column(name, "number"))
        else:
            guess = guess_kind(look)
            columns.append(Column(name, guess.name, dict(guess.options)))
    used = [column for column in columns if catalogue.load("kinds", column.kind).used]
    # Where every column would be set aside, a model can still learn what they say together.
    return Schema(tuple(used or [plain(frame[column.name]) for column in columns]), missing)


def told_column(name: str, said: str | Mapping[str, Any]) -> Column:
    """A column as the user describes it.

    Raises:
        InputError: no kind is given, or the kind has no such option.
        PlugError: there is no such kind.
    """
    options = {"kind": said} if isinstance(said, str) else dict(said)
    if "kind" not in options:
        raise InputError(
            f"columns does not say of which kind {name!r} is",
            seen=repr(said),
            way_out=f"write the name of a kind, such as {{{name!r}: 'category'}}",
        )
    kind = catalogue.load("kinds", options.pop("kind"))
    odd = [option for option in options if option not in kind.options]
    if odd:
        raise InputError(
            f"columns gives {name!r} an option that its kind {kind.name} does not have",
            seen=odd[0],
            way_out=f"leave it out; {near(odd[0], kind.options)}",
        )
    return Column(name, kind.name, options)


def plain(cells: pl.Series) -> Column:
    """A column as a number if it can be one, else as a category."""
    number = cells.dtype.is_numeric() or cells.dtype == pl.Boolean
    return Column(cells.name, "number" if number else "category")
