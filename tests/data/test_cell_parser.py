"""Cells of text are parsed as numbers, dates and booleans, or are missing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldcraft.data.cell_parser import (
    DATETIME_FORMATS,
    MISSING_MARKERS,
    clip,
    detect_datetime_format,
    detect_decimal_mark,
    isin,
    normalize_missing,
    parse_booleans,
    parse_datetimes,
    parse_numbers,
    set_null,
)

fixed = settings(derandomize=True, deadline=None, max_examples=60)
MOMENT = datetime(2024, 1, 31, 15, 4, 5)
DAY = datetime(2024, 1, 31)


def text_column(*cells: str | None) -> pl.Series:
    """A column of text."""
    return pl.Series("cells", cells, dtype=pl.String)


def test_blanks_are_trimmed_and_markers_become_missing() -> None:
    column = text_column(" a ", "", "  ", "?", "NA", None, "\tb\n")
    assert normalize_missing(column).to_list() == ["a", None, None, "?", "NA", None, "b"]
    assert normalize_missing(column, ("?", "NA")).to_list() == [
        "a",
        None,
        None,
        None,
        None,
        None,
        "b",
    ]


def test_categories_become_text_and_nan_is_missing() -> None:
    assert normalize_missing(text_column("a ", "b").cast(pl.Categorical)).to_list() == ["a", "b"]
    assert normalize_missing(pl.Series([1.0, float("nan"), None])).to_list() == [1.0, None, None]
    assert normalize_missing(pl.Series([1, None])).to_list() == [1, None]


def test_markers_that_are_numbers_are_missing_among_numbers() -> None:
    marks = ("-999", "?", "1.50")
    assert normalize_missing(pl.Series([1, -999, None]), marks).to_list() == [1, None, None]
    assert normalize_missing(pl.Series([1.5, -999.0, 2.0]), marks).to_list() == [None, None, 2.0]
    assert normalize_missing(pl.Series([1.0, 2.0]), ("?",)).to_list() == [1.0, 2.0]


def test_isin_compares_cells_with_each_value() -> None:
    assert isin(text_column("a", None, "b", "c"), ("c", "a")).to_list() == [True, None, False, True]
    assert isin(text_column("a", None), ()).to_list() == [False, False]


def test_masked_cells_become_null() -> None:
    column = text_column("a", None, "b")
    assert set_null(column, isin(column, ("b",))).to_list() == ["a", None, None]
    assert set_null(column, isin(column, ("z",))).to_list() == ["a", None, "b"]


def test_numbers_are_clipped_at_both_ends() -> None:
    column = pl.Series("n", [-5.0, None, 0.5, 7.0])
    assert clip(column, -1, 1).to_list() == [-1.0, None, 0.5, 1.0]
    assert clip(column, -5, 7) is column
    assert clip(column, -4.9, 7).to_list() == [-4.9, None, 0.5, 7.0]
    assert clip(column, -5, 6.9).to_list() == [-5.0, None, 0.5, 6.9]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("7", 7.0),
        (" -7.25 ", -7.25),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        ("00012", 12.0),
        ("1,234", 1234.0),
        ("-1,234,567.8", -1234567.8),
        ("12,34", None),
        ("1,2345", None),
        ("0,123", None),  # a European fraction, no thousands
        ("1.2.3", None),
        ("5 kg", None),
        ("inf", None),
        ("NaN", None),
        ("", None),
        (None, None),
    ],
)
def test_numbers_with_a_decimal_point(cell: str | None, number: float | None) -> None:
    assert parse_numbers(text_column(cell)).to_list() == [number]


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("7", 7.0),
        ("-7,25", -7.25),
        ("1.234,5", 1234.5),
        ("1.234.567", 1234567.0),
        ("610,291", 610.291),
        ("0.123", 0.123),  # a stray point is no thousands mark after a zero
        ("1,5e3", 1500.0),
        ("1,2,3", None),
        ("x", None),
    ],
)
def test_numbers_with_a_decimal_comma(cell: str, number: float | None) -> None:
    assert parse_numbers(text_column(cell), ",").to_list() == [number]


@fixed
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_reads_back_as_itself_with_either_mark(values: list[float]) -> None:
    points = [repr(value) for value in values]
    commas = [cell.replace(".", ",") for cell in points]
    assert parse_numbers(text_column(*points)).to_list() == values
    assert parse_numbers(text_column(*commas), ",").to_list() == values


@fixed
@given(st.lists(st.integers(-(10**15), 10**15)))
def test_grouped_thousands_read_back_as_themselves(values: list[int]) -> None:
    points = [f"{value:,}.5" for value in values]
    commas = [cell.translate({ord(","): ".", ord("."): ","}) for cell in points]
    expected = [float(cell.replace(",", "")) for cell in points]
    assert parse_numbers(text_column(*points)).to_list() == expected
    assert parse_numbers(text_column(*commas), ",").to_list() == expected


def test_typed_columns_become_floats_if_they_hold_numbers() -> None:
    assert parse_numbers(pl.Series([1, None])).to_list() == [1.0, None]
    assert parse_numbers(pl.Series([True, False])).to_list() == [1.0, 0.0]
    assert parse_numbers(pl.Series([float("inf"), float("nan"), 2.5])).to_list() == [
        None,
        None,
        2.5,
    ]
    assert parse_numbers(pl.Series([date(2024, 1, 31)])).to_list() == [None]


@pytest.mark.parametrize(
    ("cells", "mark"),
    [
        (("1,5", "2,5"), ","),
        (("0,123", "0,456"), ","),
        (("1.5", "2.5"), "."),
        (("1,234", "5,678"), "."),
        (("610,291", "63,5"), ","),
        (("1", "2"), "."),
        (("a", "b"), "."),
        ((), "."),
    ],
)
def test_the_decimal_mark_is_the_one_that_reads_more_cells(
    cells: tuple[str, ...], mark: str
) -> None:
    assert detect_decimal_mark(text_column(*cells)) == mark


def test_the_first_cells_decide_the_decimal_mark_of_a_long_column() -> None:
    point, comma = ["1,234.5"], ["1,5"]
    assert detect_decimal_mark(text_column(*comma * 5_001, *point * 4_999, *point * 9_999)) == ","
    assert detect_decimal_mark(text_column(*comma * 5_000, *point * 5_000, *comma)) == "."
    days = text_column(*["2024-01-31"] * 1_900, *["soon"] * 9_999)
    assert detect_datetime_format(days) == "%Y-%m-%d"
    assert detect_datetime_format(days[1:]) is None
    assert detect_datetime_format(text_column(*["soon"] * 20, *["2024-01-31"] * 1_000)) is None


@pytest.mark.parametrize(
    ("cells", "meaning"),
    [
        (("yes", "No", " Y ", "n"), (True, False, True, False)),
        (("TRUE", "false", "t", "F"), (True, False, True, False)),
        (("1", "0", "1.0", "0.0"), (True, False, True, False)),
        (("on", "off", "maybe", None), (True, False, None, None)),
    ],
)
def test_boolean_words_in_any_case(
    cells: tuple[str | None, ...], meaning: tuple[bool | None, ...]
) -> None:
    assert tuple(parse_booleans(text_column(*cells))) == meaning


def test_booleans_in_typed_columns() -> None:
    assert parse_booleans(pl.Series([True, None])).to_list() == [True, None]
    mixed = pl.Series(["yEs", " No ", "TRUE", "True", "oFF", "maybe", None])
    assert parse_booleans(mixed).to_list() == [True, False, True, True, False, None, None]
    assert parse_booleans(pl.Series([1, 0, 2, None])).to_list() == [True, False, None, None]
    assert parse_booleans(pl.Series([1.0, 0.0])).to_list() == [True, False]


@pytest.mark.parametrize(
    ("spelling", "meaning"),
    [
        ("%Y-%m-%d", DAY),
        ("%Y/%m/%d", DAY),
        ("%d/%m/%Y", DAY),
        ("%m/%d/%Y", DAY),
        ("%d/%m/%y", DAY),
        ("%m/%d/%y", DAY),
        ("%d.%m.%Y", DAY),
        ("%d-%m-%Y", DAY),
        ("%d %b %Y", DAY),
        ("%b %d, %Y", DAY),
        ("%B %d, %Y", DAY),
        ("%Y-%m-%d %H:%M", MOMENT.replace(second=0)),
        ("%Y-%m-%d %H:%M:%S", MOMENT),
        ("%Y-%m-%dT%H:%M:%S", MOMENT),
        ("%Y-%m-%dT%H:%M:%SZ", MOMENT),
        ("%Y/%m/%d %H:%M:%S", MOMENT),
        ("%d/%m/%Y %H:%M:%S", MOMENT),
        ("%m/%d/%Y %H:%M:%S", MOMENT),
        ("%d.%m.%Y %H:%M", MOMENT.replace(second=0)),
        ("%Y-%m-%dT%H:%M:%S.250", MOMENT.replace(microsecond=250_000)),
        ("%Y-%m-%d %H:%M:%S.250", MOMENT.replace(microsecond=250_000)),
        ("%Y-%m-%dT%H:%M:%S+01:00", MOMENT - timedelta(hours=1)),
        ("%Y-%m-%d %H:%M:%S.500-05:30", MOMENT + timedelta(hours=5, minutes=30, seconds=0.5)),
    ],
)
def test_dates_are_parsed_in_all_common_formats(spelling: str, meaning: datetime) -> None:
    column = text_column(*[MOMENT.strftime(spelling)] * 30, None)
    form = detect_datetime_format(column.drop_nulls())
    assert form in DATETIME_FORMATS
    assert parse_datetimes(column, form).to_list() == [meaning] * 30 + [None]


def test_day_first_and_month_first_dates_are_distinguished() -> None:
    assert detect_datetime_format(text_column("03/04/2024", "25/04/2024")) == "%d/%m/%Y"
    assert detect_datetime_format(text_column("03/04/2024", "04/25/2024")) == "%m/%d/%Y"


def test_two_digits_are_never_a_year_of_the_first_century() -> None:
    years = [
        moment.year for moment in parse_datetimes(text_column("31/12/99", "5/6/24"), "%d/%m/%y")
    ]
    assert years == [1999, 2024]
    assert parse_datetimes(text_column("31/12/99"), "%d/%m/%Y").to_list() == [None]


@pytest.mark.parametrize("wrong", [1, 2])
def test_a_format_may_fail_on_one_value_in_twenty(wrong: int) -> None:
    column = text_column(*["2024-01-31"] * (20 - wrong), *["soon"] * wrong)
    assert detect_datetime_format(column) == ("%Y-%m-%d" if wrong == 1 else None)


@pytest.mark.parametrize(
    "cells", [("3.14", "2.72"), ("12:30", "11:15"), ("20240131",), ("1.2.3",), ("a-b",), ()]
)
def test_other_values_are_not_dates(cells: tuple[str, ...]) -> None:
    assert detect_datetime_format(text_column(*cells)) is None


def test_times_in_several_zones_become_utc() -> None:
    column = text_column(
        "2024-01-31T15:00:00+02:00", "2024-01-31T15:00:00Z", "2024-01-31T15:00:00-03:00"
    )
    form = detect_datetime_format(column)
    assert form is not None
    assert [moment.hour for moment in parse_datetimes(column, form)] == [13, 15, 18]


def test_typed_times_become_utc_microseconds_without_a_zone() -> None:
    zoned = MOMENT.replace(tzinfo=timezone(timedelta(hours=2))).astimezone(UTC)
    aware = pl.Series([zoned, None]).dt.convert_time_zone("Europe/Zurich")
    parsed = parse_datetimes(aware, "native")
    assert parsed.dtype == pl.Datetime("us")
    assert parsed.to_list() == [MOMENT - timedelta(hours=2), None]
    assert parse_datetimes(pl.Series([MOMENT], dtype=pl.Datetime("ms")), "native").to_list() == [
        MOMENT
    ]
    assert parse_datetimes(pl.Series([date(2024, 1, 31)]), "native").to_list() == [DAY]
    assert parse_datetimes(pl.Series([5]), "native").to_list() == [None]


def test_missing_markers_are_in_lower_case() -> None:
    assert {mark.lower() for mark in MISSING_MARKERS} == MISSING_MARKERS
