"""The check that finds numbers stored as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.checks.mixed_types import CHECK, most_common_unit
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.schema import Column
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import data_context, run_check

ROWS = 200
VALUES = np.random.default_rng(0).uniform(1, 99_999, ROWS).round(2).tolist()


def look(cells: list[str], kind: str | Column = "category", name: str = "a") -> list[Finding]:
    return run_check(CHECK, data_context({name: cells}, (), **{name: kind}))


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
    assert (finding.severity, finding.column, finding.fixes) == ("warning", "a", ())
    assert finding.evidence["unit"] == unit
    again = [form.format(value) for value in [*VALUES, *[VALUES[3]] * 9]]
    assert f"such as {form.format(VALUES[3])!r}, and are read" in look(again)[0].title


@pytest.mark.parametrize("group", [" ", "'", "\u00a0", "’"])
def test_unparsed_digit_groups_are_a_warning(group: str) -> None:
    (finding,) = look([f"{value + 1000:,.2f}".replace(",", group) for value in VALUES])
    assert finding.evidence["unit"] == "grouped digits"


def test_a_target_with_a_unit_is_reported() -> None:
    (finding,) = run_check(CHECK, data_context({"y": [f"${value:,.2f}" for value in VALUES]}))
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
def test_ranges_are_an_info(levels: list[str]) -> None:
    (finding,) = look([levels[i % 3] for i in range(ROWS)])
    assert (finding.severity, finding.fixes) == ("info", ())
    assert "ranges" in finding.title


@pytest.mark.parametrize(
    "cells",
    [
        ["red", "blue"] * 100,
        [f"A/5 {i}" if i % 3 else str(i) for i in range(ROWS)],  # ticket codes
        [f"{i % 30 + 1}{'ABCDEFGH'[i % 8]}" for i in range(ROWS)],  # seat numbers
        [f"192.168.0.{i}" for i in range(ROWS)],
        [f"2020-{i % 12 + 1:02}-11" for i in range(ROWS)],
        [f"{i % 4 + 1} doors" for i in range(ROWS)],  # few enough to be categories
    ],
    ids=["words", "tickets", "seats", "addresses", "dates", "doors"],
)
def test_other_words_are_not_reported(cells: list[str]) -> None:
    assert look(cells) == []


def test_numbers_with_missing_markers_can_be_read_as_numbers() -> None:
    cells = [str(v) if i % 5 else ["unknown", "n.a."][i % 2] for i, v in enumerate(VALUES)]
    (finding,) = look(cells)
    assert (finding.severity, finding.evidence["rows"]) == ("warning", 40)
    assert finding.fixes == (ConfigEdit(("data", "columns", "a", "kind"), "number"),)
    comma = [cell.replace(".", ",") if cell[0].isdigit() else cell for cell in cells]
    (finding,) = look(comma)
    assert finding.fixes[1] == ConfigEdit(("data", "columns", "a", "decimal"), ",")


def test_meaningful_words_among_numbers_have_no_fix() -> None:
    (finding,) = look([str(v) if i % 5 else "too low" for i, v in enumerate(VALUES)])
    assert (finding.severity, finding.fixes) == ("warning", ())


def test_an_undeclared_decimal_comma_has_a_fix() -> None:
    cells = [f"{value:.2f}".replace(".", ",") for value in VALUES]
    (finding,) = look(cells, "number")
    assert finding.severity == "warning"
    (edit,) = finding.fixes
    assert edit == ConfigEdit(("data", "columns", "a", "decimal"), ",")
    assert look(cells, Column("a", "number", {"decimal": ","})) == []


def test_inconsistent_thousands_separators_are_an_info() -> None:
    cells = [f"{i * 37 + 1000:,}" if i % 9 else str(i * 37 + 1000) for i in range(ROWS)]
    (finding,) = look(cells, "number")
    assert (finding.severity, finding.fixes) == ("info", ())
    assert look([f"{i * 37:,}" for i in range(ROWS)], "number") == []


@pytest.mark.parametrize(("count", "severity"), [(1, "info"), (5, "warning")])
def test_unparseable_cells_are_reported(count: int, severity: str) -> None:
    cells = ["12 approx"] * count + [str(value) for value in VALUES[count:]]
    (finding,) = look(cells, "number")
    assert (finding.severity, finding.column) == (severity, "a")
    assert finding.evidence["cells"] == {"a": ["12 approx"]}
    assert look(["unknown"] + [str(value) for value in VALUES[1:]], "number") == []


def test_columns_with_unparseable_cells_share_a_finding() -> None:
    cells: dict[str, Any] = {f"c{i}": ["x", *map(str, VALUES[1:])] for i in range(6)}
    (finding,) = run_check(CHECK, data_context(cells, **dict.fromkeys(cells, "number")))
    assert finding.column is None
    assert "6 cells of numeric columns" in finding.title
    assert finding.title.endswith("c4 (1, such as 'x'), ...")


def united(plain: int, rows: int = 200, levels: int = 200) -> list[str]:
    """Return numbers with a unit, and this many words at the end."""
    return [f"{i % levels + 0.5} kg" if i < rows - plain else f"odd {i}x{i}" for i in range(rows)]


@pytest.mark.parametrize(
    ("cells", "reported"),
    [
        (united(20), True),
        (united(21), False),  # nine cells of ten
        (united(0, 20), True),
        (united(0, 19), False),  # twenty values
        (united(0, levels=10), True),
        (united(0, levels=9), False),  # ten different numbers
    ],
    ids=["most", "fewer", "twenty", "nineteen", "ten levels", "nine"],
)
def test_thresholds_of_numbers_with_a_unit(cells: list[str], reported: bool) -> None:
    findings = look(cells)
    assert [(f.severity, f.evidence["unit"]) for f in findings] == (
        [("warning", "the unit 'kg'")] * reported
    )


@pytest.mark.parametrize(("words", "reported"), [(60, True), (61, False)])
def test_seventy_percent_of_cells_must_be_ranges(words: int, reported: bool) -> None:
    levels = ["10-20", "20-30", "30-40"]
    cells = [levels[i % 3] if i >= words else "other" for i in range(200)]
    findings = look(cells)
    assert [(f.severity, f.evidence) for f in findings] == (
        [("info", {"fraction": 0.7, "n_distinct": 4})] * reported
    )
    assert all("such as '10-20'" in f.title or "such as '20-30'" in f.title for f in findings)


def test_two_ranges_are_not_reported() -> None:
    assert look(["under 25", "over 25"] * 100) == []
    assert run_check(CHECK, data_context({"y": ["10-20", "20-30", "30-40"] * 70})) == []


@pytest.mark.parametrize(
    ("words", "numbers", "reported"),
    [(20, 10, True), (21, 10, False), (3, 9, False), (3, 10, True)],
)
def test_thresholds_of_words_among_numbers(words: int, numbers: int, reported: bool) -> None:
    cells = [f"w{'abcdefghijklmnopqrstuvwxyz'[i]}" for i in range(words)]
    cells += [str(i % numbers + 0.5) for i in range(200)]
    findings = look(cells)
    assert [f.evidence["numbers"] for f in findings] == [numbers] * reported
    assert all(f.evidence["words"] == cells[:words] for f in findings)
    assert all(f.title.startswith(f"a: {words} of {200 + words} cells are words") for f in findings)


@pytest.mark.parametrize(("words", "among"), [(100, True), (101, False)])
def test_half_of_the_cells_must_be_numbers(words: int, among: bool) -> None:
    cells = ["low"] * words + [str(v) for v in VALUES[: 200 - words]]
    assert any("are words among numbers" in f.title for f in look(cells)) is among


@pytest.mark.parametrize(("count", "severity"), [(9, "info"), (10, "warning")])
def test_one_percent_of_unparseable_cells_is_a_warning(count: int, severity: str) -> None:
    cells = ["12 approx"] * count + [str(i / 2) for i in range(1_000 - count)]
    (finding,) = look(cells, "number")
    assert finding.severity == severity
    assert finding.title.startswith(
        f"{count} cells of numeric columns cannot be parsed and count as"
    )
    assert f"a ({count}, such as '12 approx')" in finding.title


def test_a_column_with_options_has_no_fix() -> None:
    cells = [str(v) if i % 5 else "unknown" for i, v in enumerate(VALUES)]
    (finding,) = look(cells, Column("a", "category", {"merge": 3}))
    assert (finding.severity, finding.fixes) == ("warning", ())


def test_the_decimal_comma_fix_parses_the_values() -> None:
    cells = [f"{value:.2f}".replace(".", ",") for value in VALUES]
    (finding,) = look(cells, "number")
    assert finding.evidence == {"n_parsed_with_comma": ROWS, "rows": ROWS}
    mended = Column("a", "number", {finding.fixes[0].path[-1]: finding.fixes[0].value})
    view = data_context({"a": cells}, (), a=mended)
    np.testing.assert_allclose(view.values["a"].to_numpy(), VALUES)


def test_the_most_common_unit_has_half_of_the_numbers() -> None:
    counts = pl.DataFrame({"value": ["1 kg", "2 KG", "3 g"], "count": [2, 3, 5]})
    assert most_common_unit(counts) == "the unit 'g'"  # the first by name in a tie
    counts = pl.DataFrame({"value": ["1 kg", "2 g", "3 t"], "count": [4, 4, 1]})
    assert most_common_unit(counts) is None
    assert most_common_unit(counts.clear()) is None
    assert most_common_unit(pl.DataFrame({"value": ["1 000"], "count": [1]})) == "grouped digits"
    assert most_common_unit(pl.DataFrame({"value": ["$1"], "count": [1]})) == "the unit '$'"
