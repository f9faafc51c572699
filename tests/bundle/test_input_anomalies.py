"""Cells a model was not trained for are predicted, counted by column, and reported."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from fieldcraft.bundle.input_anomalies import count_input_anomalies, describe_anomalies
from fieldcraft.bundle.runtime import Bundle, load_bundle
from fieldcraft.cli.app import app
from fieldcraft.core.errors import DataError
from fieldcraft.data.schema import Column, Schema
from fieldcraft.stages.predict import PredictRequest, predict
from tests.conftest import mixed_table

NO_ANOMALIES: dict[str, dict[str, int]] = {
    "unparseable": {},
    "unseen_category": {},
    "out_of_range": {},
}


@pytest.fixture(scope="module")
def loaded(linear_bundle: Path) -> Bundle:
    return load_bundle(linear_bundle)


@pytest.fixture
def rows() -> pl.DataFrame:
    return mixed_table(40, seed=5).drop("bought", "key", "same").cast(pl.String)


def replace_first_cells(rows: pl.DataFrame, name: str, cells: list[str | None]) -> pl.DataFrame:
    """The rows with other cells at the start of a column."""
    column = [*cells, *rows[name].to_list()[len(cells) :]]
    return rows.with_columns(pl.Series(name, column, dtype=pl.String))


def test_rows_like_the_training_rows_have_no_anomalies(loaded: Bundle, rows: pl.DataFrame) -> None:
    assert count_input_anomalies(rows, loaded.schema, loaded.profile) == NO_ANOMALIES
    assert describe_anomalies(NO_ANOMALIES) == []


@pytest.mark.parametrize(
    ("what", "column", "cells"),
    [
        ("unparseable", "age", ["forty", "12 years", "?!"]),
        ("unparseable", "seen", ["soon", "2024-13-45"]),
        ("unparseable", "member", ["perhaps"]),
        ("unseen_category", "city", ["Atlantis", "bern "]),
        ("out_of_range", "age", ["1e300", "-900"]),
        ("out_of_range", "seen", ["1066-10-14", "2999-01-01"]),
    ],
)
def test_anomalous_cells_are_predicted_and_counted(
    loaded: Bundle, rows: pl.DataFrame, what: str, column: str, cells: list[str | None]
) -> None:
    odd = replace_first_cells(rows, column, cells)
    assert count_input_anomalies(odd, loaded.schema, loaded.profile) == NO_ANOMALIES | {
        what: {column: len(cells)}
    }
    predictions = loaded.predict(odd)
    assert predictions.height == 40
    assert predictions["probability_yes"].is_finite().all()
    assert predictions.tail(30).equals(loaded.predict(rows).tail(30))  # others do not notice


def test_each_type_is_counted_by_column_and_described_on_its_own_line(
    loaded: Bundle, rows: pl.DataFrame
) -> None:
    odd = replace_first_cells(
        replace_first_cells(rows, "age", ["forty", "1e300", None, "-1e9"]), "city", ["?!", "Rom"]
    )
    odd = replace_first_cells(odd, "seen", ["soon", "never", "1066-10-14"])
    counts = count_input_anomalies(odd, loaded.schema, loaded.profile)
    assert counts == {
        "unparseable": {"age": 1, "seen": 2},
        "unseen_category": {"city": 2},
        "out_of_range": {"age": 2, "seen": 1},
    }
    assert (
        count_input_anomalies(odd, loaded.schema, loaded.profile, loaded.schema.apply(odd))
        == counts
    )
    assert describe_anomalies({**counts, "unseen_category": {"city": 12_345}}) == [
        "unparseable cells, which count as missing: age 1, seen 2",
        "cells with a category that was not seen in training: city 12,345",
        "cells far out of the range seen in training: age 2, seen 1",
    ]


def test_numbers_are_out_of_range_beyond_the_width_of_the_training_range() -> None:
    schema = Schema((Column("a", "number"),))
    value_profile = {"type": "numeric", "min": 10.0, "max": 30.0}
    profile = {"columns": {"a": {"value": value_profile}}}
    rows = pl.DataFrame({"a": ["-10", "50", "-10.1", "50.1", "20"]})
    assert count_input_anomalies(rows, schema, profile) == NO_ANOMALIES | {"out_of_range": {"a": 2}}
    assert count_input_anomalies(rows, schema, {}) == NO_ANOMALIES


def test_columns_that_only_an_expression_reads_are_counted() -> None:
    schema = Schema((Column("half", "number"),), (), {"half": "a / 2"}, (Column("a", "number"),))
    anomalies = count_input_anomalies(pl.DataFrame({"a": ["1", "x", "y", ""]}), schema, {})
    assert anomalies == NO_ANOMALIES | {"unparseable": {"a": 2}}


def test_missing_cells_are_no_anomaly(loaded: Bundle, rows: pl.DataFrame) -> None:
    for name in rows.columns:
        odd = replace_first_cells(rows, name, [None, "", " "])
        assert count_input_anomalies(odd, loaded.schema, loaded.profile) == NO_ANOMALIES


def test_without_known_categories_none_is_unseen(loaded: Bundle, rows: pl.DataFrame) -> None:
    columns = loaded.profile["columns"]
    city = {"value": {**columns["city"]["value"], "known_categories": None}}
    profile = {**loaded.profile, "columns": {**columns, "city": city}}
    assert (
        count_input_anomalies(
            replace_first_cells(rows, "city", ["Atlantis"]), loaded.schema, profile
        )
        == NO_ANOMALIES
    )


def test_anomalies_of_a_file_are_reported(
    linear_bundle: Path, rows: pl.DataFrame, tmp_path: Path
) -> None:
    odd = replace_first_cells(
        replace_first_cells(rows, "age", ["forty", "1e300"]), "city", ["Atlantis"]
    )
    odd.write_csv(tmp_path / "rows.csv")
    result = predict(
        PredictRequest(linear_bundle, str(tmp_path / "rows.csv"), tmp_path / "out.csv")
    )
    assert result["rows"] == 40
    assert result["unparseable_cells"] == 1
    assert result["input_anomalies"] == {
        "unparseable": {"age": 1}, "unseen_category": {"city": 1}, "out_of_range": {"age": 1},
    }  # fmt: skip
    json.dumps(result)
    command = ["predict", str(linear_bundle), str(tmp_path / "rows.csv"), "-o"]
    shown = CliRunner().invoke(app, [*command, str(tmp_path / "again.csv")])
    assert shown.exit_code == 0
    assert "cells with a category that was not seen in training: city 1" in shown.output


def test_a_file_without_a_column_is_refused_by_name(
    linear_bundle: Path, rows: pl.DataFrame, tmp_path: Path
) -> None:
    rows.drop("city").write_csv(tmp_path / "rows.csv")
    with pytest.raises(
        DataError, match="1 column of the model is missing from these rows"
    ) as caught:
        predict(PredictRequest(linear_bundle, str(tmp_path / "rows.csv"), tmp_path / "out.csv"))
    assert "city" in caught.value.detail
    assert not (tmp_path / "out.csv").exists()
