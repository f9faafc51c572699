"""The check that finds rows with reversed order of two columns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.reversed_order import CHECK, find_reversed_rows
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import data_context, run_check

DRAW = np.random.default_rng(0)
ROWS = 300
START = np.datetime64("2021-03-01") + DRAW.integers(0, 300, ROWS)
END = START + DRAW.integers(0, 60, ROWS)


def look(kind: str, **columns: Any) -> list[Finding]:
    cells = {name: np.asarray(column).astype(str) for name, column in columns.items()}
    return run_check(CHECK, data_context(cells, **dict.fromkeys(cells, kind)))


def test_consistently_ordered_dates_are_not_reported() -> None:
    assert look("datetime", start=START, end=END) == []
    assert look("datetime", one=START, other=DRAW.permutation(END)) == []


def test_an_end_before_its_start_is_reported_with_its_row() -> None:
    ends = np.where(np.isin(np.arange(ROWS), [4, 9]), START - 5, END)
    for columns in ({"start": START, "end": ends}, {"end": ends, "start": START}):
        (finding,) = look("datetime", **columns)
        assert (finding.severity, finding.column) == ("info", None)
        assert "end before start in 2 rows" in finding.title
        assert finding.evidence["line_numbers"] == [5, 10]


def test_numbers_with_opposite_names_are_compared() -> None:
    low = DRAW.normal(10, 3, ROWS)
    high = low + np.where(np.arange(ROWS) == 7, -4, DRAW.gamma(2, 2, ROWS))
    (finding,) = look("number", temp_min=low, temp_max=high)
    assert finding.evidence == {"rows": {"temp_max before temp_min": 1}, "line_numbers": [8]}
    assert look("number", temp_min=low, wind=high) == []


@pytest.mark.parametrize(
    ("after", "equal", "before", "count"),
    [
        (49, 0, 1, 1), (48, 0, 1, 0),  # fifty rows with both values
        (98, 0, 2, 2), (97, 0, 3, 0),  # two of a hundred are few
        (50, 49, 1, 1), (49, 50, 1, 0),  # half of the rows show the usual order
        (1, 0, 98, 1),  # which is the other one
    ],
)  # fmt: skip
def test_thresholds_of_the_usual_order(after: int, equal: int, before: int, count: int) -> None:
    gap = np.repeat([1.0, 0.0, -1.0], [after, equal, before])
    wrong, early, late = find_reversed_rows(np.zeros(len(gap)), gap, "a", "b")
    usual = after >= before
    assert (early, late) == (("a", "b") if usual else ("b", "a"))
    assert wrong.tolist() == np.flatnonzero(gap == (-1 if usual else 1))[:count].tolist()


def test_rows_without_a_value_do_not_count() -> None:
    gap = np.repeat([1.0, np.nan, -1.0], [48, 300, 1])
    assert len(find_reversed_rows(np.zeros(len(gap)), gap, "a", "b")[0]) == 0


def test_three_rows_of_a_pair_are_listed_by_row_number() -> None:
    ends = np.where(np.arange(ROWS) % 70 == 4, START - 5, END)
    cells = {"start": START.astype(str), "end": ends.astype(str), "alone": [""] * ROWS}
    view = data_context(cells, start="datetime", end="datetime", alone="datetime")
    (finding,) = run_check(CHECK, replace(view, row_numbers=range(1_001, 1_001 + ROWS)))
    assert finding.evidence == {
        "rows": {"end before start": 5},
        "line_numbers": [1_005, 1_075, 1_145],
    }
    assert finding.title == "rows that contradict the others: end before start in 5 rows"


@pytest.mark.parametrize(("first", "second"), [("lower_price", "upper_price"), ("von", "bis")])
def test_opposites_are_found_anywhere_in_a_name(first: str, second: str) -> None:
    low = np.arange(60.0)
    high = np.where(np.arange(60) == 3, low - 1, low + 1)
    (finding,) = look("number", **{second: high, first: low})
    assert finding.evidence["rows"] == {f"{second} before {first}": 1}
    assert look("number", **{f"x_{second}": high, first: low}) == []


def test_at_most_twelve_rows_are_listed() -> None:
    start = np.where(np.arange(ROWS) % 70 == 4, START + 500, START)
    later = {f"d{i}": START + 100 * i for i in range(1, 5)}
    (finding,) = look("datetime", start=start, **later, d5=START + 450)
    assert len(finding.evidence["rows"]) == 5
    assert len(finding.evidence["line_numbers"]) == 12
