"""Read cells of text as numbers, dates or truth values; the one place where that is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, reduce
from operator import or_
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

# What people write for "no value"; compared in lower case. Words that may be honest
# categories ("none", "unknown") are not here: the check `placeholders` asks about them.
MISSING_MARKS = frozenset({"?", "na", "n/a", "#n/a", "nan", "null", "-", "--", ".", "<na>"})

DATETIME_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d %b %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
ENOUGH = 0.95  # share of values that must be readable for a column to count as numbers or dates
TRUE_WORDS = frozenset({"true", "t", "yes", "y", "on", "1", "1.0"})
SPELT = (str, str.capitalize, str.upper)
FALSE_WORDS = frozenset({"false", "f", "no", "n", "off", "0", "0.0"})
CELL = "cell"  # what a column is called in an expression
GROUPED = {  # numbers with a mark between thousands
    ",": r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$",
    ".": r"^[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?$",
}


def strip(column: pl.Series, missing: Sequence[str] = ()) -> pl.Series:
    """The column with blanks trimmed; empty cells, NaN and the given markers become null."""
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        trimmed = column.str.strip_chars()
        return without(trimmed, is_any(trimmed, ("", *missing)))
    if column.dtype.is_float():
        column = without(column, np.isnan(column.to_numpy()))
    if column.dtype.is_numeric() and missing:
        marks = numeric_marks(tuple(missing))
        return without(column, is_any(column.cast(pl.Float64), marks))
    return column


@cache
def numeric_marks(missing: tuple[str, ...]) -> tuple[float, ...]:
    """The markers of missing values that are numbers, such as -999."""
    return tuple(numbers(pl.Series(missing, dtype=pl.String)).drop_nulls().to_list())


def is_any(column: pl.Series, values: Iterable[Any]) -> pl.Series:
    """Which cells are one of some values, null where there is no cell.

    Comparing with each value in turn is what Polars does fastest, for one cell as for a million.
    """
    found = [column == value for value in values]
    return reduce(or_, found) if found else pl.repeat(False, len(column), eager=True)


def without(column: pl.Series, which: pl.Series | npt.NDArray[np.bool_]) -> pl.Series:
    """The column with some cells, if there are any, made null."""
    if not which.any():
        return column
    return column.set(which if isinstance(which, pl.Series) else pl.Series(which), None)


def decimal_mark(values: pl.Series) -> str:
    """The decimal mark of a text column: a comma if that makes more cells numbers."""
    head = values.head(10_000)
    by_point = len(head) - numbers(head, ".").null_count()
    by_comma = len(head) - numbers(head, ",").null_count()
    return "," if by_comma > by_point else "."


def numbers(column: pl.Series, decimal: str = ".") -> pl.Series:
    """The cells as floats; what is not a finite number becomes null.

    Thousands separators are understood beside a decimal comma (``1.234,5``) and, in groups of
    three, beside a decimal point (``1,234.5``). A group never starts with a zero (``0,123``).
    """
    if column.dtype == pl.String:
        if decimal == ".":
            found = column.cast(pl.Float64, strict=False)
            if found.null_count() == column.null_count():  # so no cell has marks or blanks
                return without(found, ~np.isfinite(found.to_numpy()))
        text = column.str.strip_chars()
        mark = "." if decimal == "," else ","
        grouped = text.str.contains(GROUPED[mark])
        if grouped.any():
            joined = text.str.replace_all(mark, "", literal=True)
            text = joined.zip_with(grouped.fill_null(False), text)
        if decimal == ",":
            text = text.str.replace(",", ".", literal=True)
        found = text.cast(pl.Float64, strict=False)
    elif column.dtype.is_numeric() or column.dtype == pl.Boolean:
        found = column.cast(pl.Float64)
    else:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    return without(found, ~np.isfinite(found.to_numpy()))


def within(column: pl.Series, low: float, high: float) -> pl.Series:
    """The numbers cut off at two ends; where none lies outside, the column as it is."""
    values = column.to_numpy()
    outside = (values < low) | (values > high)
    return column.clip(low, high) if outside.any() else column


def truths(column: pl.Series) -> pl.Series:
    """The cells as booleans; words that are neither yes nor no become null."""
    if column.dtype == pl.Boolean:
        return column
    text = column.cast(pl.String)
    words, trues = spelt_truths()
    codes = text.cast(words, strict=False).to_physical()
    if codes.null_count() > text.null_count():  # blanks, or other mixtures of large and small
        text = text.str.strip_chars().str.to_lowercase()
        codes = text.cast(words, strict=False).to_physical()
    return codes < trues


@cache
def spelt_truths() -> tuple[pl.Enum, int]:
    """The words for truth values as they are mostly spelt, those for yes first, and their count."""
    yes, no = (
        list(dict.fromkeys(way(word) for word in sorted(words) for way in SPELT))
        for words in (TRUE_WORDS, FALSE_WORDS)
    )
    return pl.Enum([*yes, *no]), len(yes)


def datetime_format(values: pl.Series) -> str | None:
    """The first known format that reads at least 95 % of a sample of text values."""
    head = values.head(2_000).cast(pl.String)
    if not len(head) or not head.head(20).str.contains(r"\d.*[-/. ,:].*\d").any():
        return None
    for form in DATETIME_FORMATS:
        if datetimes(head, form).null_count() <= (1 - ENOUGH) * len(head):
            return form
    return None


def datetimes(column: pl.Series, form: str) -> pl.Series:
    """The cells as moments in microseconds, time zones turned to UTC and dropped."""
    kind = column.dtype
    if isinstance(kind, pl.Datetime):
        moments = column.dt.convert_time_zone("UTC") if kind.time_zone else column
        return moments.dt.replace_time_zone(None).cast(pl.Datetime("us"))
    if kind == pl.Date:
        return column.cast(pl.Datetime("us"))
    if kind != pl.String:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Datetime("us"))
    return column.to_frame(CELL).select(moment(form)).to_series().rename(column.name)


@cache
def moment(form: str) -> pl.Expr:
    """How a cell of text is read as a moment; one expression, as each call of Polars takes time."""
    text = pl.col(CELL).str.strip_chars()
    if "%Y" in form:  # or "5/6/24" would be a day of the year 24
        text = pl.when(text.str.contains(r"\d{4}")).then(text)
    if "%#z" in form:
        zoned = text.str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")
        return zoned.dt.replace_time_zone(None)
    text, form = text.str.strip_suffix("Z"), form.removesuffix("Z")
    if "%H" in form:
        return text.str.to_datetime(form, strict=False, time_unit="us")
    return text.str.to_date(form, strict=False).cast(pl.Datetime("us"))
