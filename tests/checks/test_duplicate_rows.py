"""The check that reports duplicate rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fieldcraft.checks.duplicate_rows import CHECK
from tests.checks.contexts import data_context, run_check


def rows(repeated: int, count: int = 200) -> dict[str, list[str]]:
    """Return a table whose first row is repeated at the end."""
    first = [str(i) for i in range(count)]
    return {"a": [*first, *["0"] * repeated], "y": ["u", "v"] * (count // 2) + ["u"] * repeated}


def test_distinct_rows_are_not_reported() -> None:
    assert run_check(CHECK, data_context(rows(0), a="number")) == []


@pytest.mark.parametrize(("repeated", "severity"), [(1, "info"), (3, "warning")])
def test_repeated_rows_are_counted_and_listed(repeated: int, severity: str) -> None:
    (finding,) = run_check(CHECK, data_context(rows(repeated), a="number"))
    assert finding.severity == severity
    assert finding.evidence["n_repeated"] == repeated
    assert finding.evidence["line_numbers"] == [1, *range(201, 201 + repeated)]


def test_rows_with_different_targets_are_no_duplicates() -> None:
    cells = rows(1)
    cells["y"][-1] = "v"
    assert run_check(CHECK, data_context(cells, a="number")) == []


def test_identifiers_do_not_hide_duplicates() -> None:
    cells = rows(2) | {"key": [f"k{i}" for i in range(202)]}
    (finding,) = run_check(CHECK, data_context(cells, a="number", key="identifier"))
    assert finding.evidence["n_repeated"] == 2


def test_whitespace_does_not_hide_duplicates() -> None:
    cells = rows(1)
    cells["a"][-1] = " 0 "
    (finding,) = run_check(CHECK, data_context(cells, a="category"))
    assert finding.evidence["n_repeated"] == 1


@pytest.mark.parametrize(("different", "severity"), [(198, "warning"), (199, "info")])
def test_one_percent_of_rows_is_a_warning(different: int, severity: str) -> None:
    cells = {"a": [*map(str, range(different)), "0", "0"]}
    (finding,) = run_check(CHECK, data_context(cells, a="number"))
    assert finding.severity == severity
    assert finding.title == f"2 of {different + 2} rows (1.0%) repeat another row"
    assert finding.evidence["rows"] == different + 2
    assert (finding.column, finding.fixes) == (None, ())


def test_the_most_repeated_row_is_listed_by_five_row_numbers() -> None:
    view = data_context({"a": [*"uvuvvvvv", *map(str, range(90))]}, a="category")
    (finding,) = run_check(CHECK, replace(view, row_numbers=range(501, 599)))
    assert finding.evidence == {
        "n_repeated": 6,
        "rows": 98,
        "line_numbers": [502, 504, 505, 506, 507],
    }
