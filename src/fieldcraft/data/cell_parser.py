"""Parse cells of text as numbers, dates or booleans; no other module does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache, reduce
from operator import or_
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

# Common markers of missing values, compared in lower case. Words that may be real categories
# ("none", "unknown") are left out: the check `sentinel_values` reports them.
MISSING_MARKERS = frozenset({"?", "na", "n/a", "#n/a", "nan", "null", "-", "--", ".", "<na>"})

# Unambiguous formats come first. 01/02/2024 is read as the first of February, as in most countries;
# a column with a second number above 12 fails that format and gets the American one.
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
MIN_PARSED_FRACTION = 0.95  # of the values, for a column to count as numbers or dates
DECIMAL_MARK_SAMPLE_ROWS = 10_000
DATETIME_SAMPLE_ROWS = 2_000
TRUE_WORDS = frozenset({"true", "t", "yes", "y", "on", "1", "1.0"})
CASE_VARIANTS = (str, str.capitalize, str.upper)
FALSE_WORDS = frozenset({"false", "f", "no", "n", "off", "0", "0.0"})
CELL_COLUMN = "cell"  # name of the column in expressions
# The first group starts with 1 to 9: in 0,123 the comma is a decimal mark.
GROUPED_NUMBER_PATTERNS = {  # numbers with thousands separators, by separator
    ",": r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?$",
    ".": r"^[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?$",
}


def normalize_missing(column: pl.Series, missing_markers: Sequence[str] = ()) -> pl.Series:
    """Trim blanks, and set empty cells, NaN and the given markers to null."""
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        trimmed = column.str.strip_chars()
        return set_null(trimmed, isin(trimmed, ("", *missing_markers)))
    if column.dtype.is_float():
        column = set_null(column, np.isnan(column.to_numpy()))
    if column.dtype.is_numeric() and missing_markers:
        numeric_markers = parse_numeric_markers(tuple(missing_markers))
        return set_null(column, isin(column.cast(pl.Float64), numeric_markers))
    return column


@cache
def parse_numeric_markers(missing_markers: tuple[str, ...]) -> tuple[float, ...]:
    """Return the markers of missing values that are numbers, such as -999."""
    return tuple(parse_numbers(pl.Series(missing_markers, dtype=pl.String)).drop_nulls().to_list())


def isin(column: pl.Series, values: Iterable[Any]) -> pl.Series:
    """Return a mask of the cells that equal one of some values, null where the cell is null."""
    # Comparing with each value in turn is the fastest way in Polars, for one cell or a million.
    matches = [column == value for value in values]
    return reduce(or_, matches) if matches else pl.repeat(False, len(column), eager=True)


def set_null(column: pl.Series, mask: pl.Series | npt.NDArray[np.bool_]) -> pl.Series:
    """Set the cells under a mask to null; the same column if there are none."""
    if not mask.any():
        return column
    return column.set(mask if isinstance(mask, pl.Series) else pl.Series(mask), None)


def detect_decimal_mark(values: pl.Series) -> str:
    """Return the decimal mark of a text column: a comma if more cells are numbers with it."""
    # Ties go to the point, as most files have it and whole numbers fit both.
    head = values.head(DECIMAL_MARK_SAMPLE_ROWS)
    n_with_point = len(head) - parse_numbers(head, ".").null_count()
    n_with_comma = len(head) - parse_numbers(head, ",").null_count()
    return "," if n_with_comma > n_with_point else "."


def parse_numbers(column: pl.Series, decimal_mark: str = ".") -> pl.Series:
    """Parse cells as floats; what is not a finite number becomes null.

    Thousands separators are accepted with a decimal comma (``1.234,5``) and, in groups of three,
    with a decimal point (``1,234.5``). A number with groups never starts with 0 (``0,123``).
    """
    if column.dtype == pl.String:
        if decimal_mark == ".":
            floats = column.cast(pl.Float64, strict=False)
            # The fast path: no cell has separators or blanks.
            if floats.null_count() == column.null_count():
                return set_null(floats, ~np.isfinite(floats.to_numpy()))
        text = column.str.strip_chars()
        thousands_mark = "." if decimal_mark == "," else ","
        is_grouped = text.str.contains(GROUPED_NUMBER_PATTERNS[thousands_mark])
        if is_grouped.any():
            ungrouped = text.str.replace_all(thousands_mark, "", literal=True)
            text = ungrouped.zip_with(is_grouped.fill_null(False), text)
        if decimal_mark == ",":
            text = text.str.replace(",", ".", literal=True)
        floats = text.cast(pl.Float64, strict=False)
    elif column.dtype.is_numeric() or column.dtype == pl.Boolean:
        floats = column.cast(pl.Float64)
    else:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    return set_null(floats, ~np.isfinite(floats.to_numpy()))


def clip(column: pl.Series, low: float, high: float) -> pl.Series:
    """Clip numbers to a range; the same column if none lies outside."""
    values = column.to_numpy()
    is_outside = (values < low) | (values > high)
    return column.clip(low, high) if is_outside.any() else column


def parse_booleans(column: pl.Series) -> pl.Series:
    """Parse cells as booleans; words that are neither true nor false become null."""
    if column.dtype == pl.Boolean:
        return column
    text = column.cast(pl.String)
    # A cast to an Enum maps words to codes in one pass; words for true have the lower codes.
    boolean_words, n_true_words = boolean_word_enum()
    codes = text.cast(boolean_words, strict=False).to_physical()
    if codes.null_count() > text.null_count():  # blanks around words, or unusual capitalization
        text = text.str.strip_chars().str.to_lowercase()
        codes = text.cast(boolean_words, strict=False).to_physical()
    return codes < n_true_words


@cache
def boolean_word_enum() -> tuple[pl.Enum, int]:
    """Return the boolean words in common capitalizations, true ones first, and their number."""
    true_words, false_words = (
        list(
            dict.fromkeys(
                change_case(word) for word in sorted(words) for change_case in CASE_VARIANTS
            )
        )
        for words in (TRUE_WORDS, FALSE_WORDS)
    )
    return pl.Enum([*true_words, *false_words]), len(true_words)


def detect_datetime_format(values: pl.Series) -> str | None:
    """Return the first format that parses at least 95 % of the first 2,000 values, or None."""
    head = values.head(DATETIME_SAMPLE_ROWS).cast(pl.String)
    # A cheap test of a few values spares most columns the trials below: all formats have a
    # separator between digits.
    if not len(head) or not head.head(20).str.contains(r"\d.*[-/. ,:].*\d").any():
        return None
    max_failures = (1 - MIN_PARSED_FRACTION) * len(head)
    for format_string in DATETIME_FORMATS:
        if parse_datetimes(head, format_string).null_count() <= max_failures:
            return format_string
    return None


def parse_datetimes(column: pl.Series, format_string: str) -> pl.Series:
    """Parse cells as UTC datetimes in microseconds, without a time zone."""
    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        utc_times = column.dt.convert_time_zone("UTC") if dtype.time_zone else column
        return utc_times.dt.replace_time_zone(None).cast(pl.Datetime("us"))
    if dtype == pl.Date:
        return column.cast(pl.Datetime("us"))
    if dtype != pl.String:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Datetime("us"))
    return (
        column.to_frame(CELL_COLUMN)
        .select(datetime_expr(format_string))
        .to_series()
        .rename(column.name)
    )


@cache
def datetime_expr(format_string: str) -> pl.Expr:
    """Return the expression that parses a cell as a datetime, cached: building one takes time."""
    text = pl.col(CELL_COLUMN).str.strip_chars()
    if "%Y" in format_string:  # %Y accepts two digits: "5/6/24" would be in the year 24
        text = pl.when(text.str.contains(r"\d{4}")).then(text)
    if "%#z" in format_string:
        zoned = text.str.to_datetime(format_string, strict=False, time_unit="us", time_zone="UTC")
        return zoned.dt.replace_time_zone(None)
    # Z stands for UTC, the time zone that all datetimes are converted to.
    text, format_string = text.str.strip_suffix("Z"), format_string.removesuffix("Z")
    if "%H" in format_string:
        return text.str.to_datetime(format_string, strict=False, time_unit="us")
    return text.str.to_date(format_string, strict=False).cast(pl.Datetime("us"))
