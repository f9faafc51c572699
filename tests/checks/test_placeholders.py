"""The check that reports values which stand for "no value"."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fieldcraft.checks.placeholders import CHECK
from fieldcraft.core.edit import Edit
from tests.checks.views import data_view, found

ROWS = 400


def amounts(low: float = 20, high: float = 60) -> list[str]:
    return [f"{v:.1f}" for v in np.random.default_rng(0).uniform(low, high, ROWS)]


def with_some(cells: list[str], value: str, count: int) -> list[str]:
    return [value] * count + cells[count:]


@pytest.mark.parametrize("mark", ["?", "NA", "n/a", "-", "NaN"])
def test_marks_of_missing_values_are_reported_until_they_are_declared(mark: str) -> None:
    cells = {"a": with_some(amounts(), mark, 3)}
    (finding,) = found(CHECK, data_view(cells, a="number"))
    assert finding.evidence == {"value": mark, "rows": 3, "columns": ["a"]}
    assert finding.fixes == (Edit(("data", "missing"), mark, add=True),)
    assert found(CHECK, data_view(cells, missing=[mark], a="number")) == []


@pytest.mark.parametrize("value", ["-999", "-1", "9999", "-999.0", "999999"])
def test_lonely_extreme_numbers_are_reported_as_they_are_written(value: str) -> None:
    low, high = (20, 60) if value == "-1" else (0, 80)
    cells = {"a": with_some(amounts(low + 200, high + 200), value, 5)}
    (finding,) = found(CHECK, data_view(cells, a="number"))
    assert finding.severity == "warn"
    assert finding.evidence == {"value": value, "rows": 5, "columns": ["a"]}


def test_reading_the_number_as_missing_silences_the_report() -> None:
    cells = {"a": with_some(amounts(), "-999", 5)}
    (finding,) = found(CHECK, data_view(cells, a="number"))
    missing = [str(edit.value) for edit in finding.fixes]
    assert found(CHECK, data_view(cells, missing=missing, a="number")) == []


@pytest.mark.parametrize(
    "cells",
    [
        with_some(amounts(-5, 5), "-1", 5),  # inside the range
        with_some(amounts(0, 95), "99", 5),  # its natural end
        with_some(amounts(), "-999", 1),  # once is a mistake, not a habit
        with_some(amounts(), "-998", 5),  # nobody writes that
    ],
)
def test_honest_numbers_are_not_reported(cells: list[str]) -> None:
    assert found(CHECK, data_view({"a": cells}, a="number")) == []


@pytest.mark.parametrize("word", ["unknown", "Unknown", "none", "n.a."])
def test_words_for_nothing_are_reported_among_categories(word: str) -> None:
    cells = {"a": with_some(["red", "blue"] * (ROWS // 2), word, 8)}
    (finding,) = found(CHECK, data_view(cells, a="category"))
    assert finding.severity == "tip"
    assert finding.evidence == {"value": word, "rows": 8, "columns": ["a"]}


@pytest.mark.parametrize("count", [0, 1])
def test_a_word_that_hardly_occurs_is_not_reported(count: int) -> None:
    cells = {"a": with_some(["red", "blue"] * (ROWS // 2), "unknown", count)}
    assert found(CHECK, data_view(cells, a="category")) == []


def test_numbers_that_are_not_text_are_looked_at_too() -> None:
    values = pl.Series([float(cell) for cell in amounts()]).scatter([0, 1, 2, 3, 4], -999.0)
    (finding,) = found(CHECK, data_view({"a": values}, a="number"))
    assert finding.evidence["rows"] == 5


def test_both_spellings_of_a_number_are_read_as_missing() -> None:
    cells = {"a": ["-999", "-999.0", "-999", *amounts()[3:]]}
    (finding,) = found(CHECK, data_view(cells, a="number"))
    assert {edit.value for edit in finding.fixes} == {"-999", "-999.0"}


def test_two_codes_do_not_hide_each_other() -> None:
    cells = {"a": ["-8"] * 4 + ["-9"] * 6 + amounts(200, 210)[10:]}
    findings = found(CHECK, data_view(cells, a="number"))
    assert {f.evidence["value"]: f.evidence["rows"] for f in findings} == {"-8": 4, "-9": 6}


def test_the_only_negative_number_is_a_code_even_near_the_rest() -> None:
    (finding,) = found(CHECK, data_view({"a": with_some(amounts(0, 900), "-99", 9)}, a="number"))
    assert finding.evidence["value"] == "-99"


def test_one_mark_in_many_columns_is_told_once() -> None:
    cells = {name: with_some(amounts(), "?", 3) for name in "abc"}
    (finding,) = found(CHECK, data_view(cells, a="number", b="number", c="number"))
    assert finding.column is None
    assert finding.evidence["columns"] == ["a", "b", "c"]
    assert len(finding.fixes) == 1


def test_a_code_that_is_a_value_elsewhere_is_left_to_a_person() -> None:
    cells = {
        "a": with_some(amounts(), "999", 5),
        "b": [str(900 + i % 201) for i in range(ROWS)],
    }
    (finding,) = found(CHECK, data_view(cells, a="number", b="number"))
    assert finding.column == "a"
    assert finding.fixes == ()
    assert "other columns" in finding.advice


@pytest.mark.parametrize("day", ["1900-01-01", "9999-12-31", "1970-01-01"])
def test_days_that_programs_write_for_nothing_are_reported(day: str) -> None:
    days = [str(np.datetime64("2021-01-01") + i % 300) for i in range(ROWS)]
    (finding,) = found(CHECK, data_view({"a": with_some(days, day, 5)}, a="datetime"))
    assert finding.evidence == {"value": day, "rows": 5, "columns": ["a"]}
    assert finding.fixes == (Edit(("data", "missing"), day, add=True),)
    near = [str(np.datetime64("1970-01-01") + i % 300) for i in range(ROWS)]
    assert found(CHECK, data_view({"a": near}, a="datetime")) == []


@pytest.mark.parametrize("word", ["#REF!", "(null)", "undefined", "[deleted]", "[removed]"])
def test_what_programs_write_for_an_error_is_a_warning(word: str) -> None:
    cells = {"a": with_some(["red", "blue"] * (ROWS // 2), word, 1)}
    (finding,) = found(CHECK, data_view(cells, a="category"))
    assert finding.severity == "warn"


def test_a_mark_as_a_class_of_the_target_is_reported() -> None:
    cells = {"a": amounts(), "y": with_some(["u", "v"] * (ROWS // 2), "?", 7)}
    (finding,) = found(CHECK, data_view(cells, a="number"))
    assert finding.column == "y"


def test_zero_far_below_the_rest_is_asked_about() -> None:
    cells = {"weight": with_some(amounts(), "0", 9), "count": [str(i % 12) for i in range(ROWS)]}
    (finding,) = found(CHECK, data_view(cells, weight="number", count="number"))
    assert (finding.severity, finding.column, finding.fixes) == ("tip", "weight", ())
    assert finding.evidence == {"zeros": {"weight": 9}}


def test_columns_that_no_model_sees_are_not_reported() -> None:
    view = data_view({"a": with_some(amounts(), "?", 9)}, a="number")
    assert found(CHECK, replace(view, schema=replace(view.schema, columns=()))) == []
