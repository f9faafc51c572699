"""The check that tests whether missing values depend on the target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from fieldcraft.checks.informative_missingness import CHECK
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import run_check, split_context

DRAW = np.random.default_rng(0)
ROWS = 1_000
YES = DRAW.random(ROWS) < 0.4
AMOUNT = DRAW.gamma(3, 10, ROWS)


def look(gone: Any, task: str = "binary", columns: int = 1) -> list[Finding]:
    cells = {f"c{i}": np.where(gone, "", "5") for i in range(columns)}
    cells["y"] = np.where(YES, "yes", "no") if task == "binary" else AMOUNT
    return run_check(
        CHECK, split_context(cells, task, **{f"c{i}": "number" for i in range(columns)})
    )


def at_rates(yes: float, no: float) -> Any:
    """Mark missing cells, at a rate for each class."""
    return DRAW.random(ROWS) < np.where(YES, yes, no)


@pytest.mark.parametrize(
    ("yes", "no", "severity"),
    [(0.3, 0.3, None), (0.1, 0.3, "info"), (0.15, 0.85, "warning"), (0.7, 1.0, "warning")],
)
def test_severity_follows_the_association_with_the_target(
    yes: float, no: float, severity: str | None
) -> None:
    findings = look(at_rates(yes, no))
    assert [f.severity for f in findings] == ([severity] if severity else [])
    assert all(f.column == "c0" and not f.fixes for f in findings)


def test_the_title_says_if_values_exist_for_one_class_only() -> None:
    (finding,) = look(at_rates(0.7, 1.0))
    assert finding.title.startswith("where c0 is filled, y is 9")


def test_complete_leaks_are_left_to_the_target_leakage_check() -> None:
    assert look(YES) == []


def test_missingness_is_tested_against_regression_targets() -> None:
    (finding,) = look((AMOUNT > 30) & (DRAW.random(ROWS) < 0.5), "regression")
    assert finding.severity == "info"


def test_a_few_missing_values_are_not_reported() -> None:
    assert look(YES & (np.cumsum(YES) <= 15)) == []


def test_several_columns_share_a_finding() -> None:
    (finding,) = look(at_rates(0.1, 0.3), columns=6)
    assert "missing values of 6 columns are associated with y" in finding.title


def test_the_number_of_missing_values_in_a_row_is_tested() -> None:
    cells: dict[str, Any] = {
        f"c{i}": np.where(DRAW.random(ROWS) < np.where(YES, 0.6, 0.3), "", "5") for i in range(24)
    }
    cells["y"] = np.where(YES, "yes", "no")
    findings = run_check(
        CHECK, split_context(cells, "binary", **{f"c{i}": "number" for i in range(24)})
    )
    (finding,) = [f for f in findings if f.severity == "warning"]
    assert "the number of missing values in a row explains" in finding.title
    max_missing = max(sum(cells[f"c{i}"][row] == "" for i in range(24)) for row in range(ROWS))
    assert finding.evidence["max_missing"] == max_missing
    assert 0.5 <= finding.evidence["association_strength"] <= 1


def gaps_of(yes: int, no: int, rows: int = 1_000) -> list[Finding]:
    """Return the findings for two equal classes with this many missing values each."""
    position, classes = np.arange(rows) // 2, np.arange(rows) % 2
    is_missing = position < np.where(classes == 1, yes, no)
    cells = {"c": np.where(is_missing, "", "5"), "y": np.where(classes == 1, "yes", "no")}
    return run_check(CHECK, split_context(cells, "binary", c="number"))


def variance_explained(yes: int, no: int, rows: int) -> float:
    """Return phi squared of a 2x2 table, adjusted for one degree of freedom."""
    half, gaps = rows / 2, yes + no
    phi2 = half**2 * (yes - no) ** 2 / (gaps * (rows - gaps) * half * half)
    return 1 - (1 - phi2) * (rows - 1) / (rows - 2)


@pytest.mark.parametrize(
    ("count", "reported"), [(19, False), (20, True), (980, True), (981, False)]
)
def test_twenty_rows_with_and_without_a_value_are_needed(count: int, reported: bool) -> None:
    findings = gaps_of(count, 0) if count < 500 else gaps_of(500, count - 500)
    assert bool(findings) == reported


@pytest.mark.parametrize(
    ("rows", "minimum"),
    [(600, 15 / 600), (4_000, 0.01)],
    ids=["significant", "not negligible"],
)
def test_the_association_must_be_significant_and_not_negligible(rows: int, minimum: float) -> None:
    no = rows // 20
    fractions = {yes: variance_explained(yes, no, rows) for yes in range(no + 1, rows // 2)}
    first = next(yes for yes, fraction in fractions.items() if fraction >= minimum)
    assert gaps_of(first - 1, no, rows) == []
    (finding,) = gaps_of(first, no, rows)
    assert finding.severity == "info"
    assert finding.evidence["explained_fraction"]["c"] == pytest.approx(fractions[first], rel=1e-9)
    assert (
        f"missing values of c are associated with y ({fractions[first]:.0%} of its variance)"
        in finding.title
    )


@pytest.mark.parametrize(
    ("yes", "no", "severity"),
    [
        (300, 60, "info"),  # Goodman and Kruskal's lambda of .48
        (300, 30, "warning"),  # of .54
        (145, 10, "info"),  # the proportion of yes among the gaps is at least .888: a lift of .776
        (148, 5, "warning"),  # at least .926: a lift of .852
    ],
)
def test_a_strong_association_or_a_large_lift_is_a_warning(
    yes: int, no: int, severity: str
) -> None:
    (finding,) = gaps_of(yes, no)
    assert finding.severity == severity


def test_the_lift_uses_the_lower_bound_of_the_proportion() -> None:
    (finding,) = gaps_of(148, 5)
    low = binomtest(148, 153).proportion_ci(0.95, "wilson").low
    assert finding.evidence["missingness_strength"]["c"]["lift"] == pytest.approx((low - 0.5) / 0.5)
    assert finding.title == f"where c is empty, y is {(low - 0.5) / 0.5:.0%} certain"
