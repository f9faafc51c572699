"""Convert rows from Python (arrays, lists, frames) to a Polars frame with a schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.core import catalog
from fieldcraft.core.errors import InputError, did_you_mean
from fieldcraft.core.types import Array
from fieldcraft.data.column_profile import profile_columns
from fieldcraft.data.schema import Column, Schema
from fieldcraft.modeling.type_inference import find_missing_markers, infer_kind

ColumnSpec = Mapping[str, str | Mapping[str, Any]]  # kind, or kind with options, by column name
# Types of pandas.NA and pandas.NaT, compared by name so that pandas is not imported.
MISSING_TYPE_NAMES = ("NAType", "NaTType")


def is_frame(rows: Any) -> bool:
    """Whether rows are a Polars or pandas frame."""
    library = type(rows).__module__.partition(".")[0]
    return library in ("polars", "pandas") and hasattr(rows, "columns")


def default_column_names(count: int, letter: str = "x") -> list[str]:
    """Default names for columns without names.

    >>> default_column_names(3)
    ['x0', 'x1', 'x2']
    """
    return [f"{letter}{i}" for i in range(count)]


def frame_from_array(values: Array, names: Sequence[str]) -> pl.DataFrame:
    """A frame from an array, shape (rows, columns)."""
    cells = [series_from_array(column, name) for column, name in zip(values.T, names, strict=True)]
    return pl.DataFrame(cells)


def series_from_array(cells: Array, name: str) -> pl.Series:
    """A series from an array column; objects of mixed types become text, as in a CSV file."""
    match cells.dtype.kind:
        case "O":
            values = [None if is_missing(cell) else cell for cell in cells.tolist()]
            return series_from_objects(name, values)
        case "f":
            return pl.Series(name, cells.astype(np.float64))
        case "S" | "U":
            return pl.Series(name, cells.astype(str).tolist(), dtype=pl.String)
        case "m" | "M":
            # NumPy has units that Polars lacks, such as days.
            return pl.Series(name, cells.astype(f"{cells.dtype.kind}8[us]"))
    return pl.Series(name, np.ascontiguousarray(cells))


def series_from_objects(name: str, cells: Sequence[Any]) -> pl.Series:
    """Objects as numbers, strings or times where all are of one type, else as text."""
    types = {type(cell) for cell in cells if cell is not None}
    if all(issubclass(cell_type, (int, float, np.number)) for cell_type in types):
        return pl.Series(name, cells, dtype=pl.Float64, strict=False)
    if len(types) == 1:
        series = pl.Series(name, cells)
        if series.dtype == pl.String or series.dtype.is_temporal():
            return series
    return pl.Series(name, [None if cell is None else str(cell) for cell in cells])


def is_missing(cell: Any) -> bool:
    """Whether a cell of an object array is missing."""
    if isinstance(cell, float):
        return cell != cell  # NaN
    return cell is None or type(cell).__name__ in MISSING_TYPE_NAMES


def infer_schema(frame: pl.DataFrame, column_specs: ColumnSpec, is_numeric: bool) -> Schema:
    """The columns that a model may use, with kinds as given or inferred.

    Args:
        frame: rows as given.
        column_specs: the kind, or the kind with its options, by column name.
        is_numeric: whether the rows come from a numeric array. Its columns are always numbers: one
            that counts up looks like an identifier, but may be the only feature.

    Raises:
        InputError: there is no such column or option.
        PluginError: there is no such kind.
    """
    for name in column_specs:
        if name not in frame.columns:
            raise InputError(
                f"columns names {name!r}, which is not a column",
                detail=", ".join(frame.columns[:8]),
                hint=f"use column names of X; {did_you_mean(name, frame.columns)}",
            )
    na_values = tuple(find_missing_markers(frame))
    columns = []
    for name, profile in profile_columns(frame, na_values).items():
        if name in column_specs:
            columns.append(column_from_spec(name, column_specs[name]))
        elif is_numeric:
            columns.append(Column(name, "number"))
        else:
            inference = infer_kind(profile)
            columns.append(Column(name, inference.name, dict(inference.options)))
    features = [
        column for column in columns if catalog.load_plugin("kinds", column.kind).is_feature
    ]
    # If all columns look like identifiers or constants, use them: there are no other features.
    return Schema(
        tuple(features or [fallback_column(frame[column.name]) for column in columns]), na_values
    )


def column_from_spec(name: str, spec: str | Mapping[str, Any]) -> Column:
    """A column with the kind and options given by the user.

    Raises:
        InputError: no kind is given, or the kind has no such option.
        PluginError: there is no such kind.
    """
    options = {"kind": spec} if isinstance(spec, str) else dict(spec)
    if "kind" not in options:
        raise InputError(
            f"columns gives no kind for {name!r}",
            detail=repr(spec),
            hint=f"add the name of a kind, such as {{{name!r}: 'category'}}",
        )
    kind = catalog.load_plugin("kinds", options.pop("kind"))
    unknown_options = [option for option in options if option not in kind.options]
    if unknown_options:
        raise InputError(
            f"columns gives {name!r} an option that the kind {kind.name} does not have",
            detail=unknown_options[0],
            hint=f"remove it; {did_you_mean(unknown_options[0], kind.options)}",
        )
    return Column(name, kind.name, options)


def fallback_column(cells: pl.Series) -> Column:
    """A column as a number if its type allows, else as a category."""
    is_number = cells.dtype.is_numeric() or cells.dtype == pl.Boolean
    return Column(cells.name, "number" if is_number else "category")
