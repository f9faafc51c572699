"""The check that finds rows which contradict the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from fieldcraft.checks.contradictions import CHECK
from fieldcraft.evidence.records import Finding
from tests.checks.views import data_view, found

DRAW = np.random.default_rng(0)
ROWS = 300
START = np.datetime64("2021-03-01") + DRAW.integers(0, 300, ROWS)
END = START + DRAW.integers(0, 60, ROWS)


def look(kind: str, **columns: Any) -> list[Finding]:
    cells = {name: np.asarray(column).astype(str) for name, column in columns.items()}
    return found(CHECK, data_view(cells, **dict.fromkeys(cells, kind)))


def test_dates_in_one_order_are_not_reported() -> None:
    assert look("datetime", start=START, end=END) == []
    assert look("datetime", one=START, other=DRAW.permutation(END)) == []


def test_an_end_before_its_start_is_shown_with_its_row() -> None:
    ends = np.where(np.isin(np.arange(ROWS), [4, 9]), START - 5, END)
    for columns in ({"start": START, "end": ends}, {"end": ends, "start": START}):
        (finding,) = look("datetime", **columns)
        assert (finding.severity, finding.column) == ("tip", None)
        assert "end before start in 2 rows" in finding.title
        assert finding.evidence["lines"] == [5, 10]


def test_numbers_whose_names_are_opposites_are_compared() -> None:
    low = DRAW.normal(10, 3, ROWS)
    high = low + np.where(np.arange(ROWS) == 7, -4, DRAW.gamma(2, 2, ROWS))
    (finding,) = look("number", temp_min=low, temp_max=high)
    assert finding.evidence == {"rows": {"temp_max before temp_min": 1}, "lines": [8]}
    assert look("number", temp_min=low, wind=high) == []
