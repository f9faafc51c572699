"""The check that reports categories with many or rare levels."""

from __future__ import annotations

import pytest

from fieldcraft.checks.high_cardinality import CHECK
from tests.checks.contexts import data_context, run_check

EVEN = ["red", "blue"] * 300


def test_frequent_levels_are_not_reported() -> None:
    assert run_check(CHECK, data_context({"a": EVEN}, a="category")) == []
    assert run_check(CHECK, data_context({"a": ["x", "y", "z"]}, a="category")) == []


def test_levels_with_a_single_row_are_counted() -> None:
    (finding,) = run_check(CHECK, data_context({"a": [*EVEN, "pink", "grey"]}, a="category"))
    assert (finding.severity, finding.column, finding.fixes) == ("info", "a", ())
    assert finding.evidence == {"levels": {"a": {"levels": 4, "n_singletons": 2}}}


def test_many_rare_levels_are_a_separate_finding() -> None:
    streets = [f"street {i % 150}" for i in range(600)]
    cells = {"a": streets, "b": [*EVEN[1:], "pink"], "c": streets}
    many, rare = run_check(CHECK, data_context(cells, a="category", b="category", c="category"))
    assert "2 columns have many levels with few rows each: a (150 levels" in many.title
    assert rare.column == "b"


def test_many_levels_with_enough_rows_are_not_reported() -> None:
    cells = {"a": [f"street {i % 150}" for i in range(6_000)]}
    assert run_check(CHECK, data_context(cells, a="category")) == []


@pytest.mark.parametrize(
    ("levels", "rows", "title"),
    [
        (50, 999, "1 column has many levels with few rows each: a (50 levels, 0 with one row)"),
        (50, 1_000, None),  # twenty rows per level
        (49, 980, None),
    ],
)
def test_fifty_levels_of_less_than_twenty_rows_are_reported(
    levels: int, rows: int, title: str | None
) -> None:
    cells = {"a": [f"l{i % levels}" for i in range(rows)]}
    assert [f.title for f in run_check(CHECK, data_context(cells, a="category"))] == [title] * bool(
        title
    )


@pytest.mark.parametrize(("rows", "reported"), [(49, False), (50, True)])
def test_fifty_rows_are_needed(rows: int, reported: bool) -> None:
    cells = {"a": ["pink", *["red"] * (rows - 1)]}
    assert bool(run_check(CHECK, data_context(cells, a="category"))) is reported


def test_levels_are_counted_over_rows_with_a_value() -> None:
    cells = {"a": [f"l{i % 50}" for i in range(900)] + [""] * 500}
    (finding,) = run_check(CHECK, data_context(cells, a="category"))
    assert finding.evidence == {"levels": {"a": {"levels": 50, "n_singletons": 0}}}
