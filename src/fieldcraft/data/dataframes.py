"""Build frames of plain columns from Polars and pandas frames and from lists of values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.data.csv_parser import validate_names
from fieldcraft.data.embedded_files import can_hold_files, save_embedded_files

UNSUPPORTED_DTYPES = frozenset({pl.Binary, pl.Object, pl.List, pl.Array, pl.Struct})
NUMERIC_LIKE_DTYPES = frozenset({pl.Decimal, pl.Time, pl.Duration})
INT64_LIMIT = 2**63  # the lowest integer that does not fit Int64
MAX_EXACT_FLOAT_INTEGER = 2**53  # larger integers lose digits as floats


def to_polars(frame: Any) -> pl.DataFrame:
    """Convert a Polars or pandas frame; the pandas index is dropped.

    Raises:
        DataError: the object is neither, or a column is of mixed types or has the name of another.
    """
    if isinstance(frame, pl.DataFrame):
        return normalize_dtypes(frame)
    if isinstance(frame, pl.LazyFrame):
        return normalize_dtypes(frame.collect())
    # Recognized by the name of its module, so that pandas is not imported.
    if type(frame).__module__.startswith("pandas") and hasattr(frame, "columns"):
        try:
            converted: pl.DataFrame = extract_embedded_files(
                pl.from_pandas(frame.rename(columns=str))
            )
        except (TypeError, ValueError) as error:  # pyarrow's own errors are among these
            raise DataError(
                "this pandas table cannot be converted to typed columns",
                detail=str(error).splitlines()[0],
                hint="use one type and a unique name per column; "
                "convert mixed columns to text: frame[name].astype(str)",
            ) from error
        return converted
    raise DataError(
        "this is not a table",
        detail=f"an object of type {type(frame).__name__}",
        hint="pass a Polars or pandas DataFrame, or the path of a file",
    )


def normalize_dtypes(frame: pl.DataFrame) -> pl.DataFrame:
    """Convert decimals to floats, times and durations to seconds, and photos to paths of files.

    Raises:
        DataError: a column holds lists, records or other bytes, which no kind supports.
    """
    frame = extract_embedded_files(frame)
    dtypes = {name: dtype.base_type() for name, dtype in frame.schema.items()}
    unsupported = [name for name, dtype in dtypes.items() if dtype in UNSUPPORTED_DTYPES]
    if unsupported:
        raise DataError(
            "some columns do not hold single values",
            detail=", ".join(f"{name} ({frame.schema[name]})" for name in unsupported[:5]),
            hint="drop them, or convert them to columns of numbers, words or dates; bytes are "
            "supported if they are photos",
        )
    if NUMERIC_LIKE_DTYPES.isdisjoint(dtypes.values()):
        return frame
    return frame.with_columns(
        pl.col(pl.Decimal).cast(pl.Float64),
        pl.col(pl.Time).cast(pl.Duration).dt.total_seconds(),
        pl.col(pl.Duration).dt.total_seconds(),
    )


def extract_embedded_files(
    frame: pl.DataFrame, image_columns: Collection[str] = ()
) -> pl.DataFrame:
    """Save photos in cells to files, and replace the cells by their paths.

    Args:
        frame: cells as read.
        image_columns: columns that hold photos in other rows.
    """
    binary_columns = [name for name, dtype in frame.schema.items() if can_hold_files(dtype)]
    path_columns = [
        save_embedded_files(frame[name], name in image_columns) for name in binary_columns
    ]
    replaced_columns = [paths for paths in path_columns if paths is not None]
    return frame.with_columns(replaced_columns) if replaced_columns else frame


def rename_columns(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Rename the columns, if names are given.

    Raises:
        DataError: the names do not fit.
    """
    if not names:
        return frame
    return frame.rename(dict(zip(frame.columns, validate_names(names, frame.width), strict=True)))


def build_column(name: str, values: Sequence[Any]) -> pl.Series:
    """Build a column of values: numbers or booleans if all are, else text.

    Raises:
        DataError: a value is a list, a record or bytes.
    """
    types = {type(value) for value in values} - {type(None)}
    if unsupported := sorted(value_type.__name__ for value_type in types - {bool, int, float, str}):
        raise DataError(
            f"the column {name!r} does not hold single values",
            detail=f"a value of type {unsupported[0]}",
            hint="leave the column out, or convert it to columns of numbers, words or dates",
        )
    magnitudes = (abs(value) for value in values if type(value) is int)
    return build_typed_column(name, values, common_dtype(types, max(magnitudes, default=0)))


def common_dtype(types: Collection[type], max_integer: int) -> pl.DataType:
    """Return the type of a column: numbers or booleans if all values are, else text.

    Args:
        types: Python types of the values, without None.
        max_integer: the largest absolute value of the integers.
    """
    type_set = set(types)
    # Text rather than a lossy conversion: large integers are often IDs, and True is not 1.
    if type_set == {bool}:
        return pl.Boolean()
    if type_set == {int} and max_integer < INT64_LIMIT:
        return pl.Int64()
    return (
        pl.Float64()
        if type_set in ({float}, {int, float}) and max_integer <= MAX_EXACT_FLOAT_INTEGER
        else pl.String()
    )


def build_typed_column(name: str, values: Sequence[Any], dtype: pl.DataType) -> pl.Series:
    """Build a column of values with the type that `common_dtype` returned for them."""
    if dtype == pl.String:
        return pl.Series(name, [value_to_text(value) for value in values], dtype=pl.String)
    # Not strict for floats, so that integers among them are converted.
    return pl.Series(name, values, dtype=dtype, strict=dtype != pl.Float64)


def value_to_text(value: str | float | bool | None) -> str | None:
    """Convert a word, number or boolean to text.

    >>> value_to_text(True), value_to_text(2), value_to_text(0.5), value_to_text("two")
    ('true', '2', '0.5', 'two')
    """
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)
