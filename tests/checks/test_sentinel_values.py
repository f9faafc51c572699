"""The check that reports sentinel values for missing data."""

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
def test_undeclared_missing_markers_are_reported(mark: str) -> None:
    cells = {"a": with_some(amounts(), mark, 3)}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert finding.evidence == {"value": mark, "rows": 3, "columns": ["a"]}
    assert finding.fixes == (ConfigEdit(("data", "na_values"), mark, append=True),)
    assert run_check(CHECK, data_context(cells, missing=[mark], a="number")) == []


@pytest.mark.parametrize("value", ["-999", "-1", "9999", "-999.0", "999999"])
def test_isolated_extreme_numbers_are_reported(value: str) -> None:
    low, high = (20, 60) if value == "-1" else (0, 80)
    cells = {"a": with_some(amounts(low + 200, high + 200), value, 5)}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert finding.severity == "warning"
    assert finding.evidence == {"value": value, "rows": 5, "columns": ["a"]}


def test_the_fix_resolves_the_finding() -> None:
    cells = {"a": with_some(amounts(), "-999", 5)}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    missing = [str(edit.value) for edit in finding.fixes]
    assert run_check(CHECK, data_context(cells, missing=missing, a="number")) == []


@pytest.mark.parametrize(
    "cells",
    [
        with_some(amounts(-5, 5), "-1", 5),  # inside the range
        with_some(amounts(0, 95), "99", 5),  # its natural end
        with_some(amounts(), "-999", 1),  # a single value is no sentinel
        with_some(amounts(), "-998", 5),  # not a usual sentinel
    ],
)
def test_ordinary_numbers_are_not_reported(cells: list[str]) -> None:
    assert run_check(CHECK, data_context({"a": cells}, a="number")) == []


@pytest.mark.parametrize("word", ["unknown", "Unknown", "none", "n.a."])
def test_words_for_missing_values_are_reported_among_categories(word: str) -> None:
    cells = {"a": with_some(["red", "blue"] * (ROWS // 2), word, 8)}
    (finding,) = run_check(CHECK, data_context(cells, a="category"))
    assert finding.severity == "info"
    assert finding.evidence == {"value": word, "rows": 8, "columns": ["a"]}


@pytest.mark.parametrize("count", [0, 1])
def test_rare_words_are_not_reported(count: int) -> None:
    cells = {"a": with_some(["red", "blue"] * (ROWS // 2), "unknown", count)}
    assert run_check(CHECK, data_context(cells, a="category")) == []


def test_numeric_columns_are_checked() -> None:
    values = pl.Series([float(cell) for cell in amounts()]).scatter([0, 1, 2, 3, 4], -999.0)
    (finding,) = run_check(CHECK, data_context({"a": values}, a="number"))
    assert finding.evidence["rows"] == 5


def test_the_fix_has_both_spellings_of_a_number() -> None:
    cells = {"a": ["-999", "-999.0", "-999", *amounts()[3:]]}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert {edit.value for edit in finding.fixes} == {"-999", "-999.0"}
    assert finding.evidence["value"] == "-999"  # the more frequent one


def test_two_sentinels_are_both_reported() -> None:
    cells = {"a": ["-8"] * 4 + ["-9"] * 6 + amounts(200, 210)[10:]}
    findings = run_check(CHECK, data_context(cells, a="number"))
    assert {f.evidence["value"]: f.evidence["rows"] for f in findings} == {"-8": 4, "-9": 6}


def test_the_only_negative_number_is_a_sentinel() -> None:
    (finding,) = run_check(
        CHECK, data_context({"a": with_some(amounts(0, 900), "-99", 9)}, a="number")
    )
    assert finding.evidence["value"] == "-99"


def test_a_marker_in_several_columns_is_one_finding() -> None:
    cells = {name: with_some(amounts(), "?", 3) for name in "abc"}
    (finding,) = run_check(CHECK, data_context(cells, a="number", b="number", c="number"))
    assert finding.column is None
    assert finding.evidence["columns"] == ["a", "b", "c"]
    assert len(finding.fixes) == 1


def test_a_sentinel_that_is_a_real_value_elsewhere_has_no_fix() -> None:
    cells = {
        "a": with_some(amounts(), "999", 5),
        "b": [str(900 + i % 201) for i in range(ROWS)],
    }
    (finding,) = run_check(CHECK, data_context(cells, a="number", b="number"))
    assert finding.column == "a"
    assert finding.fixes == ()
    assert "other columns" in finding.advice


@pytest.mark.parametrize("day", ["1900-01-01", "9999-12-31", "1970-01-01"])
def test_sentinel_dates_are_reported(day: str) -> None:
    days = [str(np.datetime64("2021-01-01") + i % 300) for i in range(ROWS)]
    (finding,) = run_check(CHECK, data_context({"a": with_some(days, day, 5)}, a="datetime"))
    assert finding.evidence == {"value": day, "rows": 5, "columns": ["a"]}
    assert finding.fixes == (ConfigEdit(("data", "na_values"), day, append=True),)
    near = [str(np.datetime64("1970-01-01") + i % 300) for i in range(ROWS)]
    assert run_check(CHECK, data_context({"a": near}, a="datetime")) == []


@pytest.mark.parametrize("word", ["#REF!", "(null)", "undefined", "[deleted]", "[removed]"])
def test_error_values_of_programs_are_a_warning(word: str) -> None:
    cells = {"a": with_some(["red", "blue"] * (ROWS // 2), word, 1)}
    (finding,) = run_check(CHECK, data_context(cells, a="category"))
    assert finding.severity == "warning"


def test_a_missing_marker_among_target_classes_is_reported() -> None:
    cells = {"a": amounts(), "y": with_some(["u", "v"] * (ROWS // 2), "?", 7)}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert finding.column == "y"


def test_isolated_zeros_are_an_info() -> None:
    cells = {"full": amounts(), "count": [str(i % 12) for i in range(ROWS)]}
    cells["weight"] = with_some(amounts(), "0", 9)
    (finding,) = run_check(
        CHECK, data_context(cells, full="number", count="number", weight="number")
    )
    assert (finding.severity, finding.column, finding.fixes) == ("info", "weight", ())
    assert finding.evidence == {"zeros": {"weight": 9}}


def test_non_features_are_not_reported() -> None:
    view = data_context({"a": with_some(amounts(), "?", 9)}, a="number")
    assert run_check(CHECK, replace(view, schema=replace(view.schema, columns=()))) == []


def profile_of(*cells: object) -> ColumnProfile:
    return ColumnProfile(pl.Series("a", [str(cell) for cell in cells]))


@pytest.mark.parametrize(
    ("count", "rows", "reported"), [(2, 400, True), (2, 401, False), (1, 90, False)]
)
def test_minimum_frequency_of_sentinel_numbers(count: int, rows: int, reported: bool) -> None:
    profile = profile_of(*["-999"] * count, *[20 + i % 40 for i in range(rows - count)])
    assert [item.rows for item in find_sentinel_numbers(profile, [profile])] == [count] * reported


@pytest.mark.parametrize(("others", "reported"), [(10, True), (9, False)])
def test_ten_other_values_are_needed(others: int, reported: bool) -> None:
    profile = profile_of(*["-999"] * 3, *range(20, 20 + others))
    assert bool(list(find_sentinel_numbers(profile, [profile]))) is reported


@pytest.mark.parametrize(
    ("low", "spread", "reported"),
    # 999 lies 999 - low - 2 spread above values whose quartiles are one spread apart.
    [(450, 109, True), (450, 111, False)],
)
def test_sentinel_numbers_are_three_interquartile_ranges_away(
    low: int, spread: int, reported: bool
) -> None:
    rest = np.linspace(low, low + 2 * spread, 201)  # deviation .58 of a spread
    profile = profile_of(*["999"] * 3, *rest)
    assert bool(list(find_sentinel_numbers(profile, [profile]))) is reported


@pytest.mark.parametrize(("mark", "reported"), [("-77", True), ("-9", False), ("-1", False)])
def test_a_single_negative_value_may_be_near_the_others(mark: str, reported: bool) -> None:
    profile = profile_of(*[mark] * 5, *range(201))
    assert bool(list(find_sentinel_numbers(profile, [profile]))) is reported
    profile = profile_of(*[mark] * 5, *range(-3, 201))
    assert list(find_sentinel_numbers(profile, [profile])) == []


def test_all_spellings_of_the_number_are_declared() -> None:
    cells = {"a": ["-999"] * 3 + ["-999.0"] * 2 + amounts()}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert {edit.value for edit in finding.fixes} == {"-999", "-999.0"}
    missing = [str(edit.value) for edit in finding.fixes]
    view = data_context(cells, missing=missing, a="number")
    assert view.values["a"].null_count() == 5


def test_real_values_are_between_other_values() -> None:
    assert is_real_value(profile_of(*range(900, 1_000), *range(1_000, 1_100)), 999)
    assert not is_real_value(profile_of(*range(900, 998)), 999)
    assert not is_real_value(profile_of(*range(900, 998), *range(1_000, 1_100)), 999)  # none has it
    assert not is_real_value(profile_of(*range(990), 999), 999)  # at its end
    assert not is_real_value(profile_of("999", "999"), 999)


@pytest.mark.parametrize(("days", "reported"), [(300, True), (299, False)])
@pytest.mark.parametrize("side", ["before", "after"])
def test_sentinel_dates_are_three_hundred_days_away(days: int, reported: bool, side: str) -> None:
    mark = "1970-01-01"
    sign = 1 if side == "before" else -1
    rest = [str(np.datetime64(mark) + sign * (days + i)) for i in range(20)]
    profile = profile_of(*[mark] * 2, *rest)
    moments = pl.Series("a", [mark] * 2 + rest).str.to_datetime("%Y-%m-%d")
    assert [item.rows for item in find_sentinel_dates(profile, moments)] == [2] * reported


@pytest.mark.parametrize(
    ("marks", "others", "reported"), [(2, 10, True), (1, 10, False), (2, 9, False)]
)
def test_sentinel_dates_need_two_rows_and_ten_other_dates(
    marks: int, others: int, reported: bool
) -> None:
    days = ["1900-01-01"] * marks + [f"2021-01-{1 + i:02}" for i in range(others)]
    moments = pl.Series("a", days).str.to_datetime("%Y-%m-%d")
    assert bool(list(find_sentinel_dates(profile_of(*days), moments))) is reported


@pytest.mark.parametrize(("count", "reported"), [(2, True), (1, False)])
def test_minimum_frequency_of_words_for_missing_values(count: int, reported: bool) -> None:
    cells = {"a": with_some(["red", "blue"] * 200, "unknown", count)}
    assert [f.severity for f in run_check(CHECK, data_context(cells, a="category"))] == [
        "info"
    ] * reported


@pytest.mark.parametrize(
    ("least", "step", "far"),
    [(30.0, 1.0, True), (10.0, 1.0, True), (9.9, 1.0, False), (30.0, 3.1, False)],
)
def test_isolated_zeros_are_ten_steps_below_the_others(
    least: float, step: float, far: bool
) -> None:
    values = least + step * np.arange(11)
    assert has_gap_above_zero(values) is far
    assert not has_gap_above_zero(values[:10])


@pytest.mark.parametrize(("median", "far"), [(99.0, True), (101.0, False)])
def test_isolated_zeros_are_far_below_the_median(median: float, far: bool) -> None:
    values = np.append(30 + np.arange(50) / 50, np.full(51, median))
    assert has_gap_above_zero(values) is far


@pytest.mark.parametrize(
    ("zeros", "rows", "reported"), [(2, 400, True), (1, 90, False), (2, 401, False)]
)
def test_minimum_frequency_of_zeros(zeros: int, rows: int, reported: bool) -> None:
    cells = {"a": ["0"] * zeros + [str(50 + i % 40) for i in range(rows - zeros)]}
    findings = run_check(CHECK, data_context(cells, a="number"))
    assert [f.evidence for f in findings] == [{"zeros": {"a": zeros}}] * reported


@pytest.mark.parametrize(("zeros", "reported"), [(60, True), (61, False)])
def test_a_third_of_the_values_must_not_be_zero(zeros: int, reported: bool) -> None:
    cells = {"a": ["0"] * zeros + [str(50 + i) for i in range(30)]}
    assert bool(run_check(CHECK, data_context(cells, a="number"))) is reported


def test_a_sentinel_of_the_type_date_has_no_fix() -> None:
    days = ["1900-01-01"] * 5 + [f"2021-01-{1 + i % 28:02}" for i in range(ROWS - 5)]
    column = pl.Series("a", days).str.to_date("%Y-%m-%d")
    (finding,) = run_check(CHECK, data_context({"a": column}, a="datetime"))
    assert finding.fixes == ()
    assert finding.advice.endswith("data.na_values lists text and not dates")


def test_minimum_frequency_of_sentinel_dates() -> None:
    for rows, reported in ((400, True), (401, False)):
        days = ["1900-01-01"] * 2 + [f"2021-01-{1 + i % 28:02}" for i in range(rows - 2)]
        moments = pl.Series("a", days).str.to_datetime("%Y-%m-%d")
        assert bool(list(find_sentinel_dates(profile_of(*days), moments))) is reported
