"""Frames and lists of values become frames of plain columns, or an error with the name."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from fieldcraft.core.errors import DataError
from fieldcraft.data.dataframes import build_column, rename_columns, to_polars

PEOPLE = pl.DataFrame({"name": ["Zoë", "Ann", "Bo"], "age": ["31", "", "7"]})


def test_polars_frames_are_unchanged() -> None:
    assert to_polars(PEOPLE) is PEOPLE
    assert_frame_equal(to_polars(PEOPLE.lazy()), PEOPLE)


def test_a_pandas_frame_keeps_values_and_loses_its_index() -> None:
    import pandas as pd

    columns = {
        "size": [1.5, float("nan")],
        "city": ["Rome", None],
        3: [1, 2],
        "seen": [pd.Timestamp(2024, 1, 31), pd.NaT],
    }
    result = to_polars(pd.DataFrame(columns, index=["x", "y"]))
    assert result.columns == ["size", "city", "3", "seen"]
    assert result.rows() == [(1.5, "Rome", 1, datetime(2024, 1, 31)), (None, None, 2, None)]


@pytest.mark.parametrize(
    ("names", "cells"), [(["mixed"], [[1], ["x"]]), (["twin", "twin"], [[1, 2]])]
)
def test_a_pandas_frame_without_typed_columns_is_refused(
    names: list[str], cells: list[list[object]]
) -> None:
    import pandas as pd

    with pytest.raises(DataError, match="cannot be converted to typed columns"):
        to_polars(pd.DataFrame(cells, columns=names))


@pytest.mark.parametrize("thing", [{"a": [1]}, [[1, 2]], PEOPLE["age"], None])
def test_an_object_that_is_not_a_table_is_refused(thing: object) -> None:
    with pytest.raises(DataError, match="this is not a table") as caught:
        to_polars(thing)
    assert type(thing).__name__ in caught.value.detail


def test_decimals_and_durations_become_numbers() -> None:
    frame = pl.DataFrame(
        {"price": [Decimal("1.50")], "took": [timedelta(minutes=2)], "at": [time(1, 0)]}
    )
    result = to_polars(frame)
    assert result.row(0) == (1.5, 120, 3600)


@pytest.mark.parametrize("cell", [[1, 2], {"x": 1}, b"bytes"])
def test_columns_of_nested_values_are_named(cell: object) -> None:
    frame = pl.DataFrame({"plain": [1], "odd": [cell]})
    with pytest.raises(DataError, match="do not hold single values") as caught:
        to_polars(frame)
    assert caught.value.detail.startswith("odd (")


def test_given_names_replace_those_of_the_file() -> None:
    assert rename_columns(PEOPLE, ()) is PEOPLE
    assert rename_columns(PEOPLE, ("who", " years ")).columns == ["who", "years"]
    with pytest.raises(DataError, match="names given do not fit"):
        rename_columns(PEOPLE, ("who",))


@pytest.mark.parametrize(
    ("values", "kind", "cells"),
    [
        ([1, None, 3], pl.Int64, [1, None, 3]),
        ([1, 2.5], pl.Float64, [1.0, 2.5]),
        ([True, None], pl.Boolean, [True, None]),
        (["x", None], pl.String, ["x", None]),
        ([1, "x", 2.5, True, None], pl.String, ["1", "x", "2.5", "true", None]),
        ([True, 1], pl.String, ["true", "1"]),
        ([None, None], pl.String, [None, None]),
        ([], pl.String, []),
        ([-(2**63) + 1, 2**63 - 1], pl.Int64, [-(2**63) + 1, 2**63 - 1]),
        ([2**64], pl.String, ["18446744073709551616"]),
        ([-(2**53), 0.5], pl.Float64, [-(2.0**53), 0.5]),
        ([2**53 + 1, 0.5], pl.String, ["9007199254740993", "0.5"]),
        ([2**63], pl.String, ["9223372036854775808"]),
        ([2**60 + 1, 0.5], pl.String, ["1152921504606846977", "0.5"]),
    ],
)
def test_the_type_of_a_column_keeps_all_values(
    values: list[Any], kind: Any, cells: list[Any]
) -> None:
    column = build_column("x", values)
    assert (column.dtype, column.to_list(), column.name) == (kind, cells, "x")


def test_a_column_of_bytes_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="'photo' does not hold single values") as caught:
        build_column("photo", [None, b"x"])
    assert caught.value.detail == "a value of type bytes"
