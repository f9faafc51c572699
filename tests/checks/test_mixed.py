"""The check that finds numbers hidden in text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.mixed import CHECK
from fieldcraft.core.edit import Edit
from fieldcraft.data.table import Column
from fieldcraft.evidence.records import Finding
from tests.checks.views import data_view, found

ROWS = 200
VALUES = np.random.default_rng(0).uniform(1, 99_999, ROWS).round(2).tolist()


def look(cells: list[str], kind: str | Column = "category", name: str = "a") -> list[Finding]:
    return found(CHECK, data_view({name: cells}, (), **{name: kind}))


@pytest.mark.parametrize(
    ("form", "unit"),
    [
        ("{:.1f} kg", "the unit 'kg'"),
        ("{:.1f}kg", "the unit 'kg'"),
        ("${:,.2f}", "the unit '$'"),
        ("€ {:.2f}", "the unit '€'"),
        ("{:.1f}%", "the unit '%'"),
        ("{:.0f} m²", "the unit 'm²'"),
        ("{:.0f} CHF", "the unit 'chf'"),
    ],
)
def test_numbers_with_a_unit_are_a_warning(form: str, unit: str) -> None:
    (finding,) = look([form.format(value) for value in VALUES])
    assert (finding.severity, finding.column, finding.fixes) == ("warn", "a", ())
    assert finding.evidence["unit"] == unit


@pytest.mark.parametrize("group", [" ", "'", "\u00a0", "’"])
def test_groups_of_digits_that_no_number_is_read_from_are_a_warning(group: str) -> None:
    (finding,) = look([f"{value + 1000:,.2f}".replace(",", group) for value in VALUES])
    assert finding.evidence["unit"] == "grouped digits"


def test_a_target_with_a_unit_is_noticed() -> None:
    (finding,) = found(CHECK, data_view({"y": [f"${value:,.2f}" for value in VALUES]}))
    assert finding.column == "y"


@pytest.mark.parametrize(
    "levels",
    [
        ["10-20", "20-30", "30-40"],
        ["< 100 DM", "100 - 200 DM", "> 200 DM"],
        ["under 25", "25 to 45", "over 45"],
        ["1-3 years", "4-7 years", "8+ years"],
    ],
)
def test_ranges_lose_their_order(levels: list[str]) -> None:
    (finding,) = look([levels[i % 3] for i in range(ROWS)])
    assert (finding.severity, finding.fixes) == ("tip", ())
    assert "ranges" in finding.title


@pytest.mark.parametrize(
    "cells",
    [
        ["red", "blue"] * 100,
        [f"A/5 {i}" if i % 3 else str(i) for i in range(ROWS)],  # codes of tickets
        [f"{i % 30 + 1}{'ABCDEFGH'[i % 8]}" for i in range(ROWS)],  # numbers of seats
        [f"192.168.0.{i}" for i in range(ROWS)],
        [f"2020-{i % 12 + 1:02}-11" for i in range(ROWS)],
        [f"{i % 4 + 1} doors" for i in range(ROWS)],  # few enough to be categories
    ],
    ids=["words", "tickets", "seats", "addresses", "dates", "doors"],
)
def test_other_words_are_not_reported(cells: list[str]) -> None:
    assert look(cells) == []


def test_numbers_among_words_for_nothing_can_be_read_as_numbers() -> None:
    cells = [str(v) if i % 5 else ["unknown", "n.a."][i % 2] for i, v in enumerate(VALUES)]
    (finding,) = look(cells)
    assert (finding.severity, finding.evidence["rows"]) == ("warn", 40)
    assert finding.fixes == (Edit(("data", "columns", "a", "kind"), "number"),)
    comma = [cell.replace(".", ",") if cell[0].isdigit() else cell for cell in cells]
    (finding,) = look(comma)
    assert finding.fixes[1] == Edit(("data", "columns", "a", "decimal"), ",")


def test_words_that_may_mean_something_are_left_to_a_person() -> None:
    (finding,) = look([str(v) if i % 5 else "too low" for i, v in enumerate(VALUES)])
    assert (finding.severity, finding.fixes) == ("warn", ())


def test_a_decimal_comma_that_is_not_read_is_mended() -> None:
    cells = [f"{value:.2f}".replace(".", ",") for value in VALUES]
    (finding,) = look(cells, "number")
    assert finding.severity == "warn"
    (edit,) = finding.fixes
    assert edit == Edit(("data", "columns", "a", "decimal"), ",")
    assert look(cells, Column("a", "number", {"decimal": ","})) == []


def test_thousands_with_and_without_a_comma_are_asked_about() -> None:
    cells = [f"{i * 37 + 1000:,}" if i % 9 else str(i * 37 + 1000) for i in range(ROWS)]
    (finding,) = look(cells, "number")
    assert (finding.severity, finding.fixes) == ("tip", ())
    assert look([f"{i * 37:,}" for i in range(ROWS)], "number") == []


@pytest.mark.parametrize(("count", "severity"), [(1, "tip"), (5, "warn")])
def test_cells_of_a_number_column_that_are_lost_are_shown(count: int, severity: str) -> None:
    cells = ["12 approx"] * count + [str(value) for value in VALUES[count:]]
    (finding,) = look(cells, "number")
    assert (finding.severity, finding.column) == (severity, "a")
    assert finding.evidence["cells"] == {"a": ["12 approx"]}
    assert look(["unknown"] + [str(value) for value in VALUES[1:]], "number") == []


def test_many_columns_with_lost_cells_share_a_line() -> None:
    cells: dict[str, Any] = {f"c{i}": ["x", *map(str, VALUES[1:])] for i in range(5)}
    (finding,) = found(CHECK, data_view(cells, **dict.fromkeys(cells, "number")))
    assert finding.column is None
    assert "5 cells of number columns" in finding.title
