"""The check that counts levels and their rows."""

from __future__ import annotations

from fieldcraft.checks.levels import CHECK
from tests.checks.views import data_view, found

EVEN = ["red", "blue"] * 300


def test_levels_with_many_rows_are_not_reported() -> None:
    assert found(CHECK, data_view({"a": EVEN}, a="category")) == []
    assert found(CHECK, data_view({"a": ["x", "y", "z"]}, a="category")) == []


def test_levels_with_a_single_row_are_counted() -> None:
    (finding,) = found(CHECK, data_view({"a": [*EVEN, "pink", "grey"]}, a="category"))
    assert (finding.severity, finding.column, finding.fixes) == ("tip", "a", ())
    assert finding.evidence == {"levels": {"a": {"levels": 4, "single": 2}}}


def test_many_small_levels_are_another_finding() -> None:
    streets = [f"street {i % 150}" for i in range(600)]
    cells = {"a": streets, "b": [*EVEN[1:], "pink"], "c": streets}
    many, rare = found(CHECK, data_view(cells, a="category", b="category", c="category"))
    assert "2 columns have many levels with few rows each: a (150 levels" in many.title
    assert rare.column == "b"


def test_a_fine_division_of_a_large_table_is_no_fault() -> None:
    cells = {"a": [f"street {i % 150}" for i in range(6_000)]}
    assert found(CHECK, data_view(cells, a="category")) == []
