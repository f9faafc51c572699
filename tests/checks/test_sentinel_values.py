"""The check that reports values which stand for "no value"."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fieldcraft.checks.sentinel_values import (
    CHECK,
    find_sentinel_dates,
    find_sentinel_numbers,
    has_gap_above_zero,
    is_real_value,
)
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.column_profile import ColumnProfile
from tests.checks.contexts import data_context, run_check

ROWS = 400


def amounts(low: float = 20, high: float = 60) -> list[str]:
    return [f"{v:.1f}" for v in np.random.default_rng(0).uniform(low, high, ROWS)]


def with_some(cells: list[str], value: str, count: int) -> list[str]:
    return [value] * count + cells[count:]


@pytest.mark.parametrize("mark", ["?", "NA", "n/a", "-", "NaN"])
def test_marks_of_missing_values_are_reported_until_they_are_declared(mark: str) -> None:
    cells = {"a": with_some(amounts(), mark, 3)}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert finding.evidence == {"value": mark, "rows": 3, "columns": ["a"]}
    assert finding.fixes == (ConfigEdit(("data", "na_values"), mark, append=True),)
    assert run_check(CHECK, data_context(cells, missing=[mark], a="number")) == []


@pytest.mark.parametrize("value", ["-999", "-1", "9999", "-999.0", "999999"])
def test_lonely_extreme_numbers_are_reported_as_they_are_written(value: str) -> None:
    low, high = (20, 60) if value == "-1" else (0, 80)
    cells = {"a": with_some(amounts(low + 200, high + 200), value, 5)}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert finding.severity == "warning"
    assert finding.evidence == {"value": value, "rows": 5, "columns": ["a"]}


def test_reading_the_number_as_missing_silences_the_report() -> None:
    cells = {"a": with_some(amounts(), "-999", 5)}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    missing = [str(edit.value) for edit in finding.fixes]
    assert run_check(CHECK, data_context(cells, missing=missing, a="number")) == []


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
    assert run_check(CHECK, data_context({"a": cells}, a="number")) == []


@pytest.mark.parametrize("word", ["unknown", "Unknown", "none", "n.a."])
def test_words_for_nothing_are_reported_among_categories(word: str) -> None:
    cells = {"a": with_some(["red", "blue"] * (ROWS // 2), word, 8)}
    (finding,) = run_check(CHECK, data_context(cells, a="category"))
    assert finding.severity == "info"
    assert finding.evidence == {"value": word, "rows": 8, "columns": ["a"]}


@pytest.mark.parametrize("count", [0, 1])
def test_a_word_that_hardly_occurs_is_not_reported(count: int) -> None:
    cells = {"a": with_some(["red", "blue"] * (ROWS // 2), "unknown", count)}
    assert run_check(CHECK, data_context(cells, a="category")) == []


def test_numbers_that_are_not_text_are_looked_at_too() -> None:
    values = pl.Series([float(cell) for cell in amounts()]).scatter([0, 1, 2, 3, 4], -999.0)
    (finding,) = run_check(CHECK, data_context({"a": values}, a="number"))
    assert finding.evidence["rows"] == 5


def test_both_spellings_of_a_number_are_read_as_missing() -> None:
    cells = {"a": ["-999", "-999.0", "-999", *amounts()[3:]]}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert {edit.value for edit in finding.fixes} == {"-999", "-999.0"}


def test_two_codes_do_not_hide_each_other() -> None:
    cells = {"a": ["-8"] * 4 + ["-9"] * 6 + amounts(200, 210)[10:]}
    findings = run_check(CHECK, data_context(cells, a="number"))
    assert {f.evidence["value"]: f.evidence["rows"] for f in findings} == {"-8": 4, "-9": 6}


def test_the_only_negative_number_is_a_code_even_near_the_rest() -> None:
    (finding,) = run_check(
        CHECK, data_context({"a": with_some(amounts(0, 900), "-99", 9)}, a="number")
    )
    assert finding.evidence["value"] == "-99"


def test_one_mark_in_many_columns_is_told_once() -> None:
    cells = {name: with_some(amounts(), "?", 3) for name in "abc"}
    (finding,) = run_check(CHECK, data_context(cells, a="number", b="number", c="number"))
    assert finding.column is None
    assert finding.evidence["columns"] == ["a", "b", "c"]
    assert len(finding.fixes) == 1


def test_a_code_that_is_a_value_elsewhere_is_left_to_a_person() -> None:
    cells = {
        "a": with_some(amounts(), "999", 5),
        "b": [str(900 + i % 201) for i in range(ROWS)],
    }
    (finding,) = run_check(CHECK, data_context(cells, a="number", b="number"))
    assert finding.column == "a"
    assert finding.fixes == ()
    assert "other columns" in finding.advice


@pytest.mark.parametrize("day", ["1900-01-01", "9999-12-31", "1970-01-01"])
def test_days_that_programs_write_for_nothing_are_reported(day: str) -> None:
    days = [str(np.datetime64("2021-01-01") + i % 300) for i in range(ROWS)]
    (finding,) = run_check(CHECK, data_context({"a": with_some(days, day, 5)}, a="datetime"))
    assert finding.evidence == {"value": day, "rows": 5, "columns": ["a"]}
    assert finding.fixes == (ConfigEdit(("data", "na_values"), day, append=True),)
    near = [str(np.datetime64("1970-01-01") + i % 300) for i in range(ROWS)]
    assert run_check(CHECK, data_context({"a": near}, a="datetime")) == []


@pytest.mark.parametrize("word", ["#REF!", "(null)", "undefined", "[deleted]", "[removed]"])
def test_what_programs_write_for_an_error_is_a_warning(word: str) -> None:
    cells = {"a": with_some(["red", "blue"] * (ROWS // 2), word, 1)}
    (finding,) = run_check(CHECK, data_context(cells, a="category"))
    assert finding.severity == "warning"


def test_a_mark_as_a_class_of_the_target_is_reported() -> None:
    cells = {"a": amounts(), "y": with_some(["u", "v"] * (ROWS // 2), "?", 7)}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert finding.column == "y"


def test_zero_far_below_the_rest_is_asked_about() -> None:
    cells = {"full": amounts(), "count": [str(i % 12) for i in range(ROWS)]}
    cells["weight"] = with_some(amounts(), "0", 9)
    (finding,) = run_check(
        CHECK, data_context(cells, full="number", count="number", weight="number")
    )
    assert (finding.severity, finding.column, finding.fixes) == ("info", "weight", ())
    assert finding.evidence == {"zeros": {"weight": 9}}


def test_columns_that_no_model_sees_are_not_reported() -> None:
    view = data_context({"a": with_some(amounts(), "?", 9)}, a="number")
    assert run_check(CHECK, replace(view, schema=replace(view.schema, columns=()))) == []


def look_of(*cells: object) -> ColumnProfile:
    return ColumnProfile(pl.Series("a", [str(cell) for cell in cells]))


@pytest.mark.parametrize(
    ("count", "rows", "reported"), [(2, 400, True), (2, 401, False), (1, 90, False)]
)
def test_a_number_stands_twice_and_in_one_row_of_two_hundred(
    count: int, rows: int, reported: bool
) -> None:
    look = look_of(*["-999"] * count, *[20 + i % 40 for i in range(rows - count)])
    assert [item.rows for item in find_sentinel_numbers(look, [look])] == [count] * reported


@pytest.mark.parametrize(("others", "reported"), [(10, True), (9, False)])
def test_ten_other_values_are_needed(others: int, reported: bool) -> None:
    look = look_of(*["-999"] * 3, *range(20, 20 + others))
    assert bool(list(find_sentinel_numbers(look, [look]))) is reported


@pytest.mark.parametrize(
    ("low", "spread", "reported"),
    # 999 lies 999 - low - 2 spread above values whose quartiles are one spread apart.
    [(450, 109, True), (450, 111, False)],
)
def test_a_number_lies_three_quartile_ranges_from_the_rest(
    low: int, spread: int, reported: bool
) -> None:
    rest = np.linspace(low, low + 2 * spread, 201)  # deviation .58 of a spread
    look = look_of(*["999"] * 3, *rest)
    assert bool(list(find_sentinel_numbers(look, [look]))) is reported


@pytest.mark.parametrize(("mark", "reported"), [("-77", True), ("-9", False), ("-1", False)])
def test_the_only_negative_number_need_not_be_far(mark: str, reported: bool) -> None:
    look = look_of(*[mark] * 5, *range(201))
    assert bool(list(find_sentinel_numbers(look, [look]))) is reported
    look = look_of(*[mark] * 5, *range(-3, 201))
    assert list(find_sentinel_numbers(look, [look])) == []


def test_all_ways_of_writing_the_number_are_declared() -> None:
    cells = {"a": ["-999"] * 3 + ["-999.0"] * 2 + amounts()}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert {edit.value for edit in finding.fixes} == {"-999", "-999.0"}
    missing = [str(edit.value) for edit in finding.fixes]
    view = data_context(cells, missing=missing, a="number")
    assert view.values["a"].null_count() == 5


def test_a_number_is_a_value_of_a_column_if_others_lie_on_both_sides() -> None:
    assert is_real_value(look_of(*range(900, 1_000), *range(1_000, 1_100)), 999)
    assert not is_real_value(look_of(*range(900, 998)), 999)
    assert not is_real_value(look_of(*range(900, 998), *range(1_000, 1_100)), 999)  # none has it
    assert not is_real_value(look_of(*range(990), 999), 999)  # at its end
    assert not is_real_value(look_of("999", "999"), 999)


@pytest.mark.parametrize(("days", "reported"), [(300, True), (299, False)])
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_day_lies_three_hundred_days_from_the_rest(days: int, reported: bool, side: str) -> None:
    mark = "1970-01-01"
    sign = 1 if side == "before" else -1
    rest = [str(np.datetime64(mark) + sign * (days + i)) for i in range(20)]
    look = look_of(*[mark] * 2, *rest)
    moments = pl.Series("a", [mark] * 2 + rest).str.to_datetime("%Y-%m-%d")
    assert [item.rows for item in find_sentinel_dates(look, moments)] == [2] * reported


@pytest.mark.parametrize(
    ("marks", "others", "reported"), [(2, 10, True), (1, 10, False), (2, 9, False)]
)
def test_a_day_stands_twice_beside_ten_others(marks: int, others: int, reported: bool) -> None:
    days = ["1900-01-01"] * marks + [f"2021-01-{1 + i:02}" for i in range(others)]
    moments = pl.Series("a", days).str.to_datetime("%Y-%m-%d")
    assert bool(list(find_sentinel_dates(look_of(*days), moments))) is reported


@pytest.mark.parametrize(("count", "reported"), [(2, True), (1, False)])
def test_a_word_for_nothing_stands_in_one_row_of_two_hundred(count: int, reported: bool) -> None:
    cells = {"a": with_some(["red", "blue"] * 200, "unknown", count)}
    assert [f.severity for f in run_check(CHECK, data_context(cells, a="category"))] == [
        "info"
    ] * reported


@pytest.mark.parametrize(
    ("least", "step", "far"),
    [(30.0, 1.0, True), (10.0, 1.0, True), (9.9, 1.0, False), (30.0, 3.1, False)],
)
def test_zero_lies_ten_steps_below_the_rest(least: float, step: float, far: bool) -> None:
    values = least + step * np.arange(11)
    assert has_gap_above_zero(values) is far
    assert not has_gap_above_zero(values[:10])


@pytest.mark.parametrize(("median", "far"), [(99.0, True), (101.0, False)])
def test_zero_lies_three_tenths_of_the_median_below_the_rest(median: float, far: bool) -> None:
    values = np.append(30 + np.arange(50) / 50, np.full(51, median))
    assert has_gap_above_zero(values) is far


@pytest.mark.parametrize(
    ("zeros", "rows", "reported"), [(2, 400, True), (1, 90, False), (2, 401, False)]
)
def test_zeros_stand_in_one_row_of_two_hundred(zeros: int, rows: int, reported: bool) -> None:
    cells = {"a": ["0"] * zeros + [str(50 + i % 40) for i in range(rows - zeros)]}
    findings = run_check(CHECK, data_context(cells, a="number"))
    assert [f.evidence for f in findings] == [{"zeros": {"a": zeros}}] * reported


@pytest.mark.parametrize(("zeros", "reported"), [(60, True), (61, False)])
def test_a_third_of_the_rows_have_another_value_than_zero(zeros: int, reported: bool) -> None:
    cells = {"a": ["0"] * zeros + [str(50 + i) for i in range(30)]}
    assert bool(run_check(CHECK, data_context(cells, a="number"))) is reported


def test_a_day_stands_in_one_row_of_two_hundred() -> None:
    for rows, reported in ((400, True), (401, False)):
        days = ["1900-01-01"] * 2 + [f"2021-01-{1 + i % 28:02}" for i in range(rows - 2)]
        moments = pl.Series("a", days).str.to_datetime("%Y-%m-%d")
        assert bool(list(find_sentinel_dates(look_of(*days), moments))) is reported
