"""The check that finds dates with several possible formats."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.checks.ambiguous_dates import CHECK
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.schema import Column
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import data_context, run_check

DAYS = [str(np.datetime64("2021-01-01") + 7 * i) for i in range(100)]
PARTS = [day.split("-") for day in DAYS]
DAY_FIRST = [f"{day}/{month}/{year}" for year, month, day in PARTS]
MONTH_FIRST = [f"{month}/{day}/{year}" for year, month, day in PARTS]
EITHER = [f"{day}/{month}/{year}" for year, month, day in PARTS if int(day) <= 12]


def look(cells: list[str], kind: str, form: str = "", name: str = "a") -> list[Finding]:
    options = {"format": form} if form else {}
    return run_check(CHECK, data_context({name: cells}, (), **{name: Column(name, kind, options)}))


@pytest.mark.parametrize(
    ("cells", "form"),
    [(DAY_FIRST, "%d/%m/%Y"), (MONTH_FIRST, "%m/%d/%Y"), (DAYS, "%Y-%m-%d")],
)
def test_unambiguous_dates_are_not_reported(cells: list[str], form: str) -> None:
    assert look(cells, "datetime", form) == []


def test_ambiguous_dates_are_a_warning() -> None:
    (finding,) = look(EITHER, "datetime", "%d/%m/%Y")
    assert (finding.severity, finding.fixes) == ("warning", ())
    assert "they are read with day before month" in finding.title
    assert "%m/%d/%Y" in finding.advice


def test_equal_days_and_months_are_not_reported() -> None:
    assert look(["03/03/2021", "04/04/2021"] * 20, "datetime", "%d/%m/%Y") == []


def test_dates_in_the_other_order_are_reported() -> None:
    (finding,) = look([*DAY_FIRST, "07/31/2022", "05/25/2022"], "datetime", "%d/%m/%Y")
    assert finding.severity == "warning"
    assert "2 of 102 dates are not written with day before month" in finding.title
    assert "'07/31/2022'" in finding.title


def test_dates_of_eight_digits_have_a_fix() -> None:
    (finding,) = look([day.replace("-", "") for day in DAYS], "number")
    assert finding.severity == "info"
    assert finding.fixes == (
        ConfigEdit(("data", "columns", "a", "kind"), "datetime"),
        ConfigEdit(("data", "columns", "a", "format"), "%Y%m%d"),
    )
    assert look(["20210101", "20219999"] * 20, "number") == []


@pytest.mark.parametrize(("name", "count"), [("created_at", 1), ("timestamp", 1), ("amount", 0)])
def test_unix_timestamps_are_recognized_by_name(name: str, count: int) -> None:
    cells = [str(1_600_000_000 + 86_400 * i) for i in range(60)]
    assert len(look(cells, "number", name=name)) == count


def test_dates_in_several_formats_are_a_warning() -> None:
    cells = [*DAYS[:50], *DAY_FIRST[50:]]
    (finding,) = look(cells, "category")
    assert finding.severity == "warning"
    assert set(finding.evidence["formats"]) >= {"%Y-%m-%d", "%d/%m/%Y"}
    assert look(["12/a", "3-b"] * 30, "category") == []


@pytest.mark.parametrize(("rows", "reported"), [(20, True), (19, False)])
def test_twenty_values_are_needed(rows: int, reported: bool) -> None:
    cells = [f"{1 + i % 12:02}/{1 + i % 7:02}/2021" for i in range(rows)]
    assert bool(look(cells, "datetime", "%d/%m/%Y")) is reported


@pytest.mark.parametrize(("days", "reported"), [(5, True), (4, False)])
def test_five_distinct_days_are_needed(days: int, reported: bool) -> None:
    cells = [f"{1 + i % days:02}/11/2021" for i in range(60)]
    assert bool(look(cells, "datetime", "%d/%m/%Y")) is reported


def test_a_single_unambiguous_date_decides_the_order() -> None:
    assert look([*EITHER, "31/12/2021"], "datetime", "%d/%m/%Y") == []
    (finding,) = look([*EITHER, "12/31/2021"], "datetime", "%d/%m/%Y")
    rows = len(EITHER) + 1
    assert finding.evidence == {"n_swapped": 1, "rows": rows, "format": "%d/%m/%Y"}


def test_the_title_names_the_order_of_month_and_day() -> None:
    (finding,) = look(EITHER, "datetime", "%m/%d/%Y")
    assert "they are read with month before day" in finding.title
    assert "format to %d/%m/%Y" in finding.advice


@pytest.mark.parametrize(
    ("low", "high", "reported"),
    [
        ("19000101", "21001231", True),
        ("18991231", "21001231", False),
        ("19000101", "21010101", False),
    ],
)
def test_dates_of_eight_digits_are_from_1900_to_2100(low: str, high: str, reported: bool) -> None:
    findings = look([low, high] * 10, "number")
    assert [f.evidence for f in findings] == [{"first": 19000101, "last": 21001231}] * reported


def test_numeric_columns_and_columns_with_options_have_no_fix() -> None:
    digits = [int(day.replace("-", "")) for day in DAYS]
    (finding,) = run_check(CHECK, data_context({"a": digits}, a="number"))
    assert (finding.severity, finding.fixes) == ("info", ())
    column = Column("a", "number", {"clip": [0, 1]})
    (finding,) = run_check(CHECK, data_context({"a": list(map(str, digits))}, a=column))
    assert finding.fixes == ()


def test_the_fix_parses_the_dates() -> None:
    (finding,) = look([day.replace("-", "") for day in DAYS], "number")
    options = {edit.path[-1]: edit.value for edit in finding.fixes}
    column = Column("a", options.pop("kind"), options)
    view = data_context({"a": [day.replace("-", "") for day in DAYS]}, a=column)
    assert view.values["a"].dt.date().cast(str).to_list() == DAYS


@pytest.mark.parametrize(
    ("low", "high", "reported"),
    [
        (631_152_000, 4_102_444_800, True),  # 1990-01-01 to 2100-01-01
        (631_151_999, 4_102_444_800, False),
        (631_152_000, 4_102_444_801, False),
    ],
)
def test_unix_timestamps_are_from_1990_to_2100(low: int, high: int, reported: bool) -> None:
    findings = look([str(low), str(high)] * 10, "number", name="created_at")
    assert [f.severity for f in findings] == ["info"] * reported
    assert look([f"{low}.5", f"{high}.5"] * 10, "number", name="created_at") == []


@pytest.mark.parametrize(("words", "reported"), [(10, True), (11, False)])
def test_ninety_percent_of_cells_must_be_dates(words: int, reported: bool) -> None:
    cells = [*DAYS[:50], *DAY_FIRST[50 : 100 - words], *[f"n{i}-{i}" for i in range(words)]]
    findings = look(cells, "category")
    assert [f.evidence["n_unparsed"] for f in findings] == [words] * reported
