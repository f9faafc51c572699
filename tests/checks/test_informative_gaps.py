"""The check that compares rows with and without a value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.informative_gaps import CHECK
from fieldcraft.evidence.records import Finding
from tests.checks.views import found, split_view

DRAW = np.random.default_rng(0)
ROWS = 1_000
YES = DRAW.random(ROWS) < 0.4
AMOUNT = DRAW.gamma(3, 10, ROWS)


def look(gone: Any, task: str = "binary", columns: int = 1) -> list[Finding]:
    cells = {f"c{i}": np.where(gone, "", "5") for i in range(columns)}
    cells["y"] = np.where(YES, "yes", "no") if task == "binary" else AMOUNT
    return found(CHECK, split_view(cells, task, **{f"c{i}": "number" for i in range(columns)}))


def at_rates(yes: float, no: float) -> Any:
    """Gaps that are so likely in rows of either class."""
    return DRAW.random(ROWS) < np.where(YES, yes, no)


@pytest.mark.parametrize(
    ("yes", "no", "severity"),
    [(0.3, 0.3, None), (0.1, 0.3, "tip"), (0.15, 0.85, "warn"), (0.7, 1.0, "warn")],
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
    assert finding.severity == "tip"


def test_a_handful_of_gaps_proves_nothing() -> None:
    assert look(YES & (np.cumsum(YES) <= 15)) == []


def test_columns_with_the_same_story_share_a_line() -> None:
    (finding,) = look(at_rates(0.1, 0.3), columns=6)
    assert "gaps of 6 columns go with y" in finding.title


def test_the_number_of_gaps_in_a_row_may_tell_what_no_column_does() -> None:
    cells: dict[str, Any] = {
        f"c{i}": np.where(DRAW.random(ROWS) < np.where(YES, 0.6, 0.3), "", "5") for i in range(24)
    }
    cells["y"] = np.where(YES, "yes", "no")
    findings = found(CHECK, split_view(cells, "binary", **{f"c{i}": "number" for i in range(24)}))
    (finding,) = [f for f in findings if f.severity == "warn"]
    assert "the number of gaps in a row tells" in finding.title
