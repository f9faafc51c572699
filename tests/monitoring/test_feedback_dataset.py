"""Labeled rows of the log become cells that parse to the logged values, each once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldcraft.core.errors import DataError
from fieldcraft.data.schema import Column, Schema
from fieldcraft.monitoring.feedback_dataset import (
    USED_ROW_KEYS,
    exclude_used,
    join_logged_rows,
    values_to_cells,
)

START = datetime(2026, 11, 28, 10, tzinfo=UTC)
AGE, CITY = Column("age", "number"), Column("city", "category")
SCHEMA = Schema((AGE, CITY))
BOUGHT = Column("bought", "category")
KEYS = {"request_id": pl.String, "row": pl.Int64}


def write_part(folder: Path, number: int, *rows: tuple[Any, ...], **more: Any) -> None:
    """Write a part of a log, of rows as request id, row number and age."""
    start = START + timedelta(hours=number, milliseconds=500)
    table = pl.DataFrame(
        {
            "time": [start + timedelta(seconds=i) for i in range(len(rows))],
            "request_id": [row[0] for row in rows],
            "row": [row[1] for row in rows],
            "model_id": ["m"] * len(rows),
            "input.age": [row[2] for row in rows],
            "input.city": [f"city {row[0]}" for row in rows],
            "output.prediction": ["yes"] * len(rows),
            **more,
        },
        schema_overrides={
            "time": pl.Datetime("us", "UTC"), "input.age": pl.Float64, "row": pl.Int64,
        },
    )  # fmt: skip
    path = folder / "2026-11-28" / f"1{number}0000-1-{number}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)


def labels(*rows: tuple[str, int, str]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={**KEYS, "label": pl.String}, orient="row")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    write_part(tmp_path, 0, ("a", 0, 20.5), ("a", 1, None), ("b", 0, 30.0))
    write_part(tmp_path, 1, ("c", 0, 1e6), ("a", 0, 99.0))  # a again, with other values
    return tmp_path


def test_rows_are_in_the_order_of_their_labels_with_their_first_values(log: Path) -> None:
    given_labels = labels(
        ("c", 0, "yes"), ("a", 1, "no"), ("nobody", 0, "no"), ("a", 0, "yes"), ("b", 1, "no")
    )
    joined = join_logged_rows(log, given_labels, SCHEMA, BOUGHT, None)
    assert joined.rows() == [
        ("1000000", "city c", "yes", "c", 0), (None, "city a", "no", "a", 1),
        ("20.5", "city a", "yes", "a", 0),
    ]  # fmt: skip
    assert joined.columns == ["age", "city", "bought", *USED_ROW_KEYS]


def test_without_labeled_rows_there_is_a_table_without_rows(log: Path) -> None:
    joined = join_logged_rows(log, labels(("nobody", 0, "no")), SCHEMA, BOUGHT, None)
    assert (joined.height, joined.columns) == (0, ["bought", *USED_ROW_KEYS])


def test_numeric_labels_are_formatted_like_the_target(log: Path) -> None:
    for options, text in (({}, "12.5"), ({"decimal": ","}, "12,5")):
        target = Column("price", "number", options)
        joined = join_logged_rows(
            log, labels(("a", 0, "12.5"), ("b", 0, "3.0")), SCHEMA, target, None
        )
        assert joined["price"].to_list() == [text, "3"]


def test_the_request_time_replaces_a_time_column_that_is_not_logged(log: Path) -> None:
    native = Column("when", "datetime", {"format": "native"})
    joined = join_logged_rows(log, labels(("b", 0, "yes")), SCHEMA, BOUGHT, native)
    assert joined["when"].to_list() == ["2026-11-28 10:00:02.500"]
    plain = join_logged_rows(log, labels(("b", 0, "yes")), SCHEMA, BOUGHT, Column("when", "number"))
    assert "when" not in plain.columns  # a numeric time column cannot be restored


def test_columns_missing_in_the_log_are_an_error(log: Path) -> None:
    wider = Schema((AGE, CITY, Column("street", "category")))
    with pytest.raises(DataError, match="does not hold all") as caught:
        join_logged_rows(log, labels(("a", 0, "yes")), wider, BOUGHT, None)
    assert caught.value.detail == "missing: street"


@given(st.lists(st.none() | st.floats(-1e9, 1e9, allow_subnormal=False).map(lambda v: round(v, 6))))
def test_formatted_numbers_parse_to_the_same_values(numbers: list[float | None]) -> None:
    for decimal in (".", ","):
        column = Column("x", "number", {"decimal": decimal})
        values = pl.Series("x", numbers, dtype=pl.Float64)
        cells = values_to_cells(values, column, SCHEMA)
        assert SCHEMA.parse(cells, column).eq_missing(values).all()
        assert not any(cell and cell.endswith((".0", ",0")) for cell in cells.to_list())


def test_a_value_that_no_cell_parses_to_is_an_error() -> None:
    schema = Schema((CITY,), missing_markers=("unknown",))
    values = pl.Series("city", ["Bern", "unknown", None])
    with pytest.raises(DataError, match="logged values of 'city'") as caught:
        values_to_cells(values, CITY, schema)
    assert caught.value.detail == "'unknown', 1 such rows"


def test_labels_used_by_earlier_retrainings_are_excluded(tmp_path: Path) -> None:
    for name, rows in {"one": [("a", 0)], "two": [("b", 0), ("a", 1)]}.items():
        pl.DataFrame(rows, schema=USED_ROW_KEYS, orient="row").write_parquet(tmp_path / name)
    known = labels(("a", 0, "yes"), ("a", 1, "no"), ("b", 0, "no"), ("b", 1, "yes"))
    assert exclude_used(known, []).equals(known)
    left = exclude_used(known, [tmp_path / "one", tmp_path / "two"])
    assert left.rows() == [("b", 1, "yes")]


def test_features_may_have_the_names_of_keys_and_labels(tmp_path: Path) -> None:
    names = ["row", "request_id", "time", "label"]
    schema = Schema(tuple(Column(name, "category") for name in names))
    extra = {f"input.{name}": [f"{name} {number}" for number in range(2)] for name in names}
    write_part(tmp_path, 0, ("a", 0, 1.0), ("b", 0, 2.0), **extra)
    table = join_logged_rows(tmp_path, labels(("b", 0, "yes")), schema, BOUGHT, None)
    assert table.rows() == [("row 1", "request_id 1", "time 1", "label 1", "yes", "b", 0)]
