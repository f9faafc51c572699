"""Cells that a model was not made for are served, counted by column, and told."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from fieldcraft.bundle.odd import in_words, odd_cells
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.cli.app import app
from fieldcraft.core.errors import DataError
from fieldcraft.data.table import Column, Schema
from fieldcraft.stages.predict import Request, predict
from tests.conftest import mixed_table

SOUND: dict[str, dict[str, int]] = {"unread": {}, "unseen": {}, "outside": {}}


@pytest.fixture(scope="module")
def loaded(packed_once: Path) -> Bundle:
    return load_bundle(packed_once)


@pytest.fixture
def rows() -> pl.DataFrame:
    return mixed_table(40, seed=5).drop("bought", "key", "same").cast(pl.String)


def put(rows: pl.DataFrame, name: str, cells: list[str | None]) -> pl.DataFrame:
    """The rows with other cells at the start of a column."""
    column = [*cells, *rows[name].to_list()[len(cells) :]]
    return rows.with_columns(pl.Series(name, column, dtype=pl.String))


def test_rows_like_those_of_training_hold_nothing_odd(loaded: Bundle, rows: pl.DataFrame) -> None:
    assert odd_cells(rows, loaded.schema, loaded.profile) == SOUND
    assert in_words(SOUND) == []


@pytest.mark.parametrize(
    ("what", "column", "cells"),
    [
        ("unread", "age", ["forty", "12 years", "?!"]),
        ("unread", "seen", ["soon", "2024-13-45"]),
        ("unread", "member", ["perhaps"]),
        ("unseen", "city", ["Atlantis", "bern "]),
        ("outside", "age", ["1e300", "-900"]),
        ("outside", "seen", ["1066-10-14", "2999-01-01"]),
    ],
)
def test_odd_cells_are_served_and_counted(
    loaded: Bundle, rows: pl.DataFrame, what: str, column: str, cells: list[str | None]
) -> None:
    odd = put(rows, column, cells)
    assert odd_cells(odd, loaded.schema, loaded.profile) == SOUND | {what: {column: len(cells)}}
    predictions = loaded.predict(odd)
    assert predictions.height == 40
    assert predictions["probability_yes"].is_finite().all()
    assert predictions.tail(30).equals(loaded.predict(rows).tail(30))  # others do not notice


def test_each_sort_is_counted_by_column_and_told_on_a_line_of_its_own(
    loaded: Bundle, rows: pl.DataFrame
) -> None:
    odd = put(put(rows, "age", ["forty", "1e300", None, "-1e9"]), "city", ["?!", "Rom"])
    odd = put(odd, "seen", ["soon", "never", "1066-10-14"])
    counts = odd_cells(odd, loaded.schema, loaded.profile)
    assert counts == {
        "unread": {"age": 1, "seen": 2}, "unseen": {"city": 2}, "outside": {"age": 2, "seen": 1},
    }  # fmt: skip
    assert odd_cells(odd, loaded.schema, loaded.profile, loaded.schema.apply(odd)) == counts
    assert in_words({**counts, "unseen": {"city": 12_345}}) == [
        "cells that cannot be read and count as missing: age 1, seen 2",
        "cells with a category that was never seen in training: city 12,345",
        "cells far outside of what was seen in training: age 2, seen 1",
    ]


def test_numbers_are_outside_when_they_are_further_off_than_training_was_wide() -> None:
    schema = Schema((Column("a", "number"),))
    about = {"form": "number", "low": 10.0, "high": 30.0}
    profile = {"columns": {"a": {"value": about}}}
    rows = pl.DataFrame({"a": ["-10", "50", "-10.1", "50.1", "20"]})
    assert odd_cells(rows, schema, profile) == SOUND | {"outside": {"a": 2}}
    assert odd_cells(rows, schema, {}) == SOUND


def test_columns_that_only_an_expression_reads_are_counted_too() -> None:
    schema = Schema((Column("half", "number"),), (), {"half": "a / 2"}, (Column("a", "number"),))
    found = odd_cells(pl.DataFrame({"a": ["1", "x", "y", ""]}), schema, {})
    assert found == SOUND | {"unread": {"a": 2}}


def test_what_is_missing_is_not_odd(loaded: Bundle, rows: pl.DataFrame) -> None:
    for name in rows.columns:
        odd = put(rows, name, [None, "", " "])
        assert odd_cells(odd, loaded.schema, loaded.profile) == SOUND


def test_of_very_many_categories_none_is_called_unseen(loaded: Bundle, rows: pl.DataFrame) -> None:
    columns = loaded.profile["columns"]
    city = {"value": {**columns["city"]["value"], "seen": None}}
    profile = {**loaded.profile, "columns": {**columns, "city": city}}
    assert odd_cells(put(rows, "city", ["Atlantis"]), loaded.schema, profile) == SOUND


def test_a_file_with_odd_cells_is_predicted_and_told(
    packed_once: Path, rows: pl.DataFrame, tmp_path: Path
) -> None:
    odd = put(put(rows, "age", ["forty", "1e300"]), "city", ["Atlantis"])
    odd.write_csv(tmp_path / "rows.csv")
    told = predict(Request(packed_once, str(tmp_path / "rows.csv"), tmp_path / "out.csv"))
    assert told["rows"] == 40
    assert told["unread"] == 1
    assert told["odd"] == {
        "unread": {"age": 1}, "unseen": {"city": 1}, "outside": {"age": 1},
    }  # fmt: skip
    json.dumps(told)
    command = ["predict", str(packed_once), str(tmp_path / "rows.csv"), "-o"]
    shown = CliRunner().invoke(app, [*command, str(tmp_path / "again.csv")])
    assert shown.exit_code == 0
    assert "cells with a category that was never seen in training: city 1" in shown.output


def test_a_file_without_a_column_is_refused_by_name(
    packed_once: Path, rows: pl.DataFrame, tmp_path: Path
) -> None:
    rows.drop("city").write_csv(tmp_path / "rows.csv")
    with pytest.raises(DataError, match="1 column of the model cannot be found") as caught:
        predict(Request(packed_once, str(tmp_path / "rows.csv"), tmp_path / "out.csv"))
    assert "city" in caught.value.seen
    assert not (tmp_path / "out.csv").exists()
