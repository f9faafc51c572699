"""The check that compares rows with and without a value."""

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
    """Gaps that are so likely in rows of either class."""
    return DRAW.random(ROWS) < np.where(YES, yes, no)


@pytest.mark.parametrize(
    ("yes", "no", "severity"),
    [(0.3, 0.3, None), (0.1, 0.3, "info"), (0.15, 0.85, "warning"), (0.7, 1.0, "warning")],
)
def test_gaps_weigh_by_how_much_they_tell(yes: float, no: float, severity: str | None) -> None:
    found_ = look(at_rates(yes, no))
    assert [f.severity for f in found_] == ([severity] if severity else [])
    assert all(f.column == "c0" and not f.fixes for f in found_)


def test_filled_only_for_one_class_is_said_so() -> None:
    (finding,) = look(at_rates(0.7, 1.0))
    assert finding.title.startswith("where c0 is filled, y is 9")


def test_gaps_that_give_everything_away_are_left_to_the_check_leak() -> None:
    assert look(YES) == []


def test_gaps_of_an_amount_are_compared_too() -> None:
    (finding,) = look((AMOUNT > 30) & (DRAW.random(ROWS) < 0.5), "regression")
    assert finding.severity == "info"


def test_a_handful_of_gaps_proves_nothing() -> None:
    assert look(YES & (np.cumsum(YES) <= 15)) == []


def test_columns_with_the_same_story_share_a_line() -> None:
    (finding,) = look(at_rates(0.1, 0.3), columns=6)
    assert "missing values of 6 columns are associated with y" in finding.title


def test_the_number_of_gaps_in_a_row_may_tell_what_no_column_does() -> None:
    cells: dict[str, Any] = {
        f"c{i}": np.where(DRAW.random(ROWS) < np.where(YES, 0.6, 0.3), "", "5") for i in range(24)
    }
    cells["y"] = np.where(YES, "yes", "no")
    findings = run_check(
        CHECK, split_context(cells, "binary", **{f"c{i}": "number" for i in range(24)})
    )
    (finding,) = [f for f in findings if f.severity == "warning"]
    assert "the number of missing values in a row explains" in finding.title
    most = max(sum(cells[f"c{i}"][row] == "" for i in range(24)) for row in range(ROWS))
    assert finding.evidence["max_missing"] == most
    assert 0.5 <= finding.evidence["association_strength"] <= 1


def gaps_of(yes: int, no: int, rows: int = 1_000) -> list[Finding]:
    """Findings where so many rows of either class, half of the rows each, have a gap."""
    place, classes = np.arange(rows) // 2, np.arange(rows) % 2
    gone = place < np.where(classes == 1, yes, no)
    cells = {"c": np.where(gone, "", "5"), "y": np.where(classes == 1, "yes", "no")}
    return run_check(CHECK, split_context(cells, "binary", c="number"))


def variance_explained(yes: int, no: int, rows: int) -> float:
    """Phi squared of a fourfold table, less what its one degree of freedom explains by chance."""
    half, gaps = rows / 2, yes + no
    phi2 = half**2 * (yes - no) ** 2 / (gaps * (rows - gaps) * half * half)
    return 1 - (1 - phi2) * (rows - 1) / (rows - 2)


@pytest.mark.parametrize(("count", "told"), [(19, False), (20, True), (980, True), (981, False)])
def test_twenty_rows_with_a_gap_and_without_one_are_needed(count: int, told: bool) -> None:
    findings = gaps_of(count, 0) if count < 500 else gaps_of(500, count - 500)
    assert bool(findings) == told


@pytest.mark.parametrize(
    ("rows", "bound"),
    [(600, 15 / 600), (4_000, 0.01)],
    ids=["more than chance", "more than a trifle"],
)
def test_gaps_must_explain_more_than_chance_and_than_a_trifle(rows: int, bound: float) -> None:
    no = rows // 20
    shares = {yes: variance_explained(yes, no, rows) for yes in range(no + 1, rows // 2)}
    first = next(yes for yes, share in shares.items() if share >= bound)
    assert gaps_of(first - 1, no, rows) == []
    (finding,) = gaps_of(first, no, rows)
    assert finding.severity == "info"
    assert finding.evidence["explained_fraction"]["c"] == pytest.approx(shares[first], rel=1e-9)
    assert (
        f"missing values of c are associated with y ({shares[first]:.0%} of its variance)"
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
def test_strong_gaps_tell_half_of_the_target_or_make_it_nearly_certain(
    yes: int, no: int, severity: str
) -> None:
    (finding,) = gaps_of(yes, no)
    assert finding.severity == severity


def test_the_lift_is_from_the_usual_share_to_the_least_likely_one() -> None:
    (finding,) = gaps_of(148, 5)
    low = binomtest(148, 153).proportion_ci(0.95, "wilson").low
    assert finding.evidence["missingness_strength"]["c"]["lift"] == pytest.approx((low - 0.5) / 0.5)
    assert finding.title == f"where c is empty, y is {(low - 0.5) / 0.5:.0%} certain"
