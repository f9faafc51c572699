"""The check that reads dates in other ways."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.checks.dates import CHECK
from fieldcraft.core.edit import Edit
from fieldcraft.data.table import Column
from fieldcraft.evidence.records import Finding
from tests.checks.views import data_view, found

DAYS = [str(np.datetime64("2021-01-01") + 7 * i) for i in range(100)]
PARTS = [day.split("-") for day in DAYS]
DAY_FIRST = [f"{day}/{month}/{year}" for year, month, day in PARTS]
MONTH_FIRST = [f"{month}/{day}/{year}" for year, month, day in PARTS]
EITHER = [f"{day}/{month}/{year}" for year, month, day in PARTS if int(day) <= 12]


def look(cells: list[str], kind: str, form: str = "", name: str = "a") -> list[Finding]:
    options = {"format": form} if form else {}
    return found(CHECK, data_view({name: cells}, (), **{name: Column(name, kind, options)}))


@pytest.mark.parametrize(
    ("cells", "form"),
    [(DAY_FIRST, "%d/%m/%Y"), (MONTH_FIRST, "%m/%d/%Y"), (DAYS, "%Y-%m-%d")],
)
def test_dates_that_read_in_one_way_only_are_not_reported(cells: list[str], form: str) -> None:
    assert look(cells, "datetime", form) == []


def test_dates_that_all_read_both_ways_are_a_warning() -> None:
    (finding,) = look(EITHER, "datetime", "%d/%m/%Y")
    assert (finding.severity, finding.fixes) == ("warn", ())
    assert "it is read with day before month" in finding.title
    assert "%m/%d/%Y" in finding.advice


def test_the_same_day_in_every_row_is_no_riddle() -> None:
    assert look(["03/03/2021", "04/04/2021"] * 20, "datetime", "%d/%m/%Y") == []


def test_dates_of_the_other_order_among_them_are_shown() -> None:
    (finding,) = look([*DAY_FIRST, "07/31/2022", "05/25/2022"], "datetime", "%d/%m/%Y")
    assert finding.severity == "warn"
    assert "2 of 102 dates are not written with day before month" in finding.title
    assert "'07/31/2022'" in finding.title


def test_eight_digits_that_are_all_dates_can_be_read_as_such() -> None:
    (finding,) = look([day.replace("-", "") for day in DAYS], "number")
    assert finding.severity == "tip"
    assert finding.fixes == (
        Edit(("data", "columns", "a", "kind"), "datetime"),
        Edit(("data", "columns", "a", "format"), "%Y%m%d"),
    )
    assert look(["20210101", "20219999"] * 20, "number") == []


@pytest.mark.parametrize(("name", "count"), [("created_at", 1), ("timestamp", 1), ("amount", 0)])
def test_seconds_since_1970_go_by_their_name(name: str, count: int) -> None:
    cells = [str(1_600_000_000 + 86_400 * i) for i in range(60)]
    assert len(look(cells, "number", name=name)) == count


def test_dates_in_several_formats_are_read_as_words() -> None:
    cells = [*DAYS[:50], *DAY_FIRST[50:]]
    (finding,) = look(cells, "category")
    assert finding.severity == "warn"
    assert set(finding.evidence["formats"]) >= {"%Y-%m-%d", "%d/%m/%Y"}
    assert look(["12/a", "3-b"] * 30, "category") == []
