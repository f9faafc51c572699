"""Labelled rows of the log become cells that are read as what the model saw, each once."""

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
from fieldcraft.monitoring.feedback_dataset import exclude_used, join_logged_rows, values_to_cells

START = datetime(2026, 11, 28, 10, tzinfo=UTC)
AGE, CITY = Column("age", "number"), Column("city", "category")
SCHEMA = Schema((AGE, CITY))
BOUGHT = Column("bought", "category")
KEYS = {"request": pl.String, "row": pl.Int64}


def write_part(folder: Path, number: int, *rows: tuple[Any, ...], **more: Any) -> None:
    """A part of a log, of rows as request, number and age."""
    table = pl.DataFrame(
        {
            "time": [START + timedelta(hours=number, seconds=i, milliseconds=500)
                     for i in range(len(rows))],
            "request": [row[0] for row in rows], "row": [row[1] for row in rows],
            "model": ["m"] * len(rows), "age": [row[2] for row in rows],
            "city": [f"city {row[0]}" for row in rows], "said.prediction": ["yes"] * len(rows),
            **more,
        },
        schema_overrides={"time": pl.Datetime("us", "UTC"), "age": pl.Float64, "row": pl.Int64},
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


def test_rows_come_in_the_order_of_their_labels_as_they_were_first_seen(log: Path) -> None:
    given_labels = labels(
        ("c", 0, "yes"), ("a", 1, "no"), ("nobody", 0, "no"), ("a", 0, "yes"), ("b", 1, "no")
    )
    found = join_logged_rows(log, given_labels, SCHEMA, BOUGHT, None)
    assert found.rows() == [
        ("1000000", "city c", "yes", "c", 0), (None, "city a", "no", "a", 1),
        ("20.5", "city a", "yes", "a", 0),
    ]  # fmt: skip
    assert found.columns == ["age", "city", "bought", "request", "row"]


def test_without_labelled_rows_there_is_a_table_without_rows(log: Path) -> None:
    found = join_logged_rows(log, labels(("nobody", 0, "no")), SCHEMA, BOUGHT, None)
    assert (found.height, found.columns) == (0, ["bought", "request", "row"])


def test_amounts_are_spelt_as_the_target_is_read(log: Path) -> None:
    for options, text in (({}, "12.5"), ({"decimal": ","}, "12,5")):
        target = Column("price", "number", options)
        found = join_logged_rows(
            log, labels(("a", 0, "12.5"), ("b", 0, "3.0")), SCHEMA, target, None
        )
        assert found["price"].to_list() == [text, "3"]


def test_the_time_of_the_request_stands_for_a_time_that_the_log_lacks(log: Path) -> None:
    native = Column("when", "datetime", {"format": "native"})
    found = join_logged_rows(log, labels(("b", 0, "yes")), SCHEMA, BOUGHT, native)
    assert found["when"].to_list() == ["2026-11-28 10:00:02.500"]
    plain = join_logged_rows(log, labels(("b", 0, "yes")), SCHEMA, BOUGHT, Column("when", "number"))
    assert "when" not in plain.columns  # an order that is no time cannot be had


def test_what_the_log_does_not_hold_cannot_be_learned_from(log: Path) -> None:
    wider = Schema((AGE, CITY, Column("street", "category")))
    with pytest.raises(DataError, match="does not hold all") as caught:
        join_logged_rows(log, labels(("a", 0, "yes")), wider, BOUGHT, None)
    assert caught.value.detail == "missing: street"


@given(st.lists(st.none() | st.floats(-1e9, 1e9, allow_subnormal=False).map(lambda v: round(v, 6))))
def test_numbers_are_spelt_so_that_they_read_the_same(numbers: list[float | None]) -> None:
    for decimal in (".", ","):
        column = Column("x", "number", {"decimal": decimal})
        values = pl.Series("x", numbers, dtype=pl.Float64)
        cells = values_to_cells(values, column, SCHEMA)
        assert SCHEMA.parse(cells, column).eq_missing(values).all()
        assert not any(cell and cell.endswith((".0", ",0")) for cell in cells.to_list())


def test_a_value_that_no_cell_is_read_as_is_told() -> None:
    schema = Schema((CITY,), missing_markers=("unknown",))
    values = pl.Series("city", ["Bern", "unknown", None])
    with pytest.raises(DataError, match="logged values of 'city'") as caught:
        values_to_cells(values, CITY, schema)
    assert caught.value.detail == "'unknown', 1 such rows"


def test_labels_that_earlier_rows_were_made_of_are_left_out(tmp_path: Path) -> None:
    for name, rows in {"one": [("a", 0)], "two": [("b", 0), ("a", 1)]}.items():
        pl.DataFrame(rows, schema=KEYS, orient="row").write_parquet(tmp_path / name)
    known = labels(("a", 0, "yes"), ("a", 1, "no"), ("b", 0, "no"), ("b", 1, "yes"))
    assert exclude_used(known, []).equals(known)
    left = exclude_used(known, [tmp_path / "one", tmp_path / "two"])
    assert left.rows() == [("b", 1, "yes")]
