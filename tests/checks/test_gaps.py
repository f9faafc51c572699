"""The check that looks at how gaps hang together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.gaps import CHECK, together
from fieldcraft.evidence.records import Finding
from tests.checks.views import data_view, found

DRAW = np.random.default_rng(0)
ROWS = 500


def holed(gone: Any) -> list[str]:
    return list(np.where(gone, "", DRAW.normal(size=ROWS).round(3).astype(str)))


def look(**columns: Any) -> list[Finding]:
    return found(CHECK, data_view(columns, **dict.fromkeys(columns, "number")))


def test_gaps_that_have_nothing_to_do_with_each_other_are_not_reported() -> None:
    assert look(**{f"c{i}": holed(DRAW.random(ROWS) < 0.1) for i in range(6)}) == []


def test_columns_with_gaps_in_the_same_rows_are_named() -> None:
    gone = DRAW.random(ROWS) < 0.1
    (finding,) = look(a=holed(gone), b=holed(gone), c=holed(DRAW.random(ROWS) < 0.1))
    assert finding.title == f"2 columns have their gaps in the same {gone.sum()} rows: a, b"


def test_many_groups_of_columns_share_a_line() -> None:
    columns: dict[str, list[str]] = {}
    for group in "abcd":
        gone = DRAW.random(ROWS) < 0.1
        columns |= {f"{group}{i}": holed(gone) for i in range(2 if group < "d" else 5)}
    finding = next(f for f in look(**columns) if "groups" in f.evidence)
    assert finding.title.startswith("4 groups of columns have their gaps in the same rows: a0 and")
    assert [len(group) for group in finding.evidence["groups"]] == [2, 2, 2, 5]


def test_gaps_foretold_by_another_column_are_explained() -> None:
    rooms = DRAW.integers(0, 4, ROWS)
    finish = holed((rooms == 0) | (DRAW.random(ROWS) < 0.01))
    (finding,) = look(finish=finish, rooms=rooms.astype(str), other=holed(False))
    assert finding.column == "finish"
    assert finding.evidence["told"]["finish"]["by"] == "rooms"
    assert finding.evidence["told"]["finish"]["share"] > 0.8


@pytest.mark.parametrize(("empty", "severity"), [(3, "tip"), (60, "warn")])
def test_rows_without_most_values_are_counted(empty: int, severity: str) -> None:
    gone = np.arange(ROWS) < empty
    columns = {f"c{i}": holed(gone if i else np.zeros(ROWS, bool)) for i in range(5)}
    finding = next(f for f in look(**columns) if "have no value in more than half" in f.title)
    assert finding.severity == severity
    assert finding.evidence["rows"] == empty
    assert finding.evidence["lines"][:3] == [1, 2, 3]


def test_a_table_that_is_hollow_throughout_has_no_empty_rows() -> None:
    columns = {f"c{i}": holed(DRAW.random(ROWS) < 0.7) for i in range(12)}
    assert look(**columns) == []


def test_groups_are_of_columns_whose_gaps_nearly_agree() -> None:
    gone = np.arange(100) < 40
    missing = {"a": gone, "b": np.roll(gone, 1), "c": np.roll(gone, 20), "d": ~gone}
    assert together(missing) == [["a", "b"], ["c"], ["d"]]
