"""Arrays and frames are converted to a frame with typed columns."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from fieldcraft.api.table import frame_from_array, infer_schema, is_frame, series_from_array
from fieldcraft.data.cell_parser import normalize_missing
from fieldcraft.data.schema import Column


def test_only_frames_are_frames() -> None:
    frame = pl.DataFrame({"a": [1]})
    assert is_frame(frame)
    assert is_frame(frame.to_pandas())
    assert not any(map(is_frame, (np.zeros((1, 1)), [[1]], frame["a"], frame["a"].to_pandas())))


@pytest.mark.parametrize(
    ("cells", "dtype", "expected"),
    [
        (np.array([1, 2], dtype=np.int16), pl.Int16, [1, 2]),
        (np.array([0.5, np.nan], dtype=np.float16), pl.Float64, [0.5, None]),
        (np.array([True, False]), pl.Boolean, [True, False]),
        (np.array(["a", "bc"]), pl.String, ["a", "bc"]),
        (np.array([b"a", b"bc"]), pl.String, ["a", "bc"]),
        (np.array(["2024-01-02"], dtype="M8[D]"), pl.Datetime("us"),
         [datetime.datetime(2024, 1, 2)]),
        (np.array([1, 2.5, True, np.int64(3), None], dtype=object), pl.Float64,
         [1, 2.5, 1, 3, None]),
        (np.array(["a", None, np.nan, pd.NA], dtype=object), pl.String, ["a", None, None, None]),
        (np.array([datetime.date(2024, 1, 2), pd.NaT], dtype=object), pl.Date,
         [datetime.date(2024, 1, 2), None]),
        (np.array([1, "a", None], dtype=object), pl.String, ["1", "a", None]),
        (np.array([Decimal("1.5"), 2], dtype=object), pl.String, ["1.5", "2"]),
        (np.array([{"a": 1}, 2.5], dtype=object), pl.String, ["{'a': 1}", "2.5"]),
        (np.array([None, None], dtype=object), pl.Float64, [None, None]),
    ],
)  # fmt: skip
def test_a_column_of_an_array_keeps_its_type_or_is_read_as_text(
    cells: Any, dtype: Any, expected: list[Any]
) -> None:
    series = series_from_array(cells, "x")
    assert (series.name, series.dtype) == ("x", dtype)
    assert normalize_missing(series).to_list() == expected


def test_an_array_becomes_a_frame_column_by_column() -> None:
    frame = frame_from_array(np.arange(6).reshape(3, 2), ["a", "b"])
    assert frame.to_dict(as_series=False) == {"a": [0, 2, 4], "b": [1, 3, 5]}


def test_excluded_columns_are_used_if_there_are_no_others() -> None:
    frame = pl.DataFrame({"n": [7.0] * 30, "s": ["x"] * 30})
    assert infer_schema(frame, {}, is_numeric=False).columns == (
        Column("n", "number"), Column("s", "category"),
    )  # fmt: skip
    more = frame.with_columns(z=pl.Series(np.arange(30) % 7 * 1.5))
    assert [column.name for column in infer_schema(more, {}, is_numeric=False).columns] == ["z"]


def test_given_kinds_override_inferred_ones() -> None:
    frame = pl.DataFrame({"a": ["1,5", "2,5", "?"] * 10, "b": range(30)})
    schema = infer_schema(frame, {"b": "category"}, is_numeric=False)
    assert schema.columns == (Column("a", "number", {"decimal": ","}), Column("b", "category"))
    assert schema.missing_markers == ("?",)
