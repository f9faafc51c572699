"""The check that weighs names that sound like afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.checks.hindsight import CHECK
from fieldcraft.evidence.records import Finding
from tests.checks.views import found, split_view

DRAW = np.random.default_rng(0)
ROWS = 900
YES = DRAW.random(ROWS) < 0.4


def wrong(share: float) -> list[str]:
    """The target's answer, wrong in a share of the rows."""
    return list(np.where(YES ^ (DRAW.random(ROWS) < share), "1", "0"))


def look(name: str, column: list[str], target: str = "churned") -> list[Finding]:
    cells = {name: column, target: np.where(YES, "yes", "no")}
    return found(CHECK, split_view(cells, "binary", (target,), **{name: "category"}))


@pytest.mark.parametrize(
    ("share", "severity", "fixes"), [(0.1, "warn", 1), (0.18, "warn", 0), (0.35, "tip", 0)]
)
def test_a_telling_name_weighs_with_what_the_column_tells(
    share: float, severity: str, fixes: int
) -> None:
    (finding,) = look("outcome_code", wrong(share))
    assert (finding.severity, len(finding.fixes)) == (severity, fixes)
    assert finding.column == "outcome_code"


@pytest.mark.parametrize("name", ["code", "previous_outcome", "churn_history", "outcome_last_year"])
def test_names_without_a_hint_and_names_of_the_past_are_silent(name: str) -> None:
    assert look(name, wrong(0.1)) == []


def test_a_name_alone_says_nothing() -> None:
    assert look("outcome_code", wrong(0.5)) == []


def test_what_the_check_leak_reports_is_not_told_twice() -> None:
    assert look("outcome_code", wrong(0.0)) == []


def test_one_value_that_is_certain_counts_though_the_rest_says_nothing() -> None:
    column = np.where(YES & (DRAW.random(ROWS) < 0.3), "1", "0").tolist()
    (finding,) = look("is_violent_churn", column)
    assert (finding.severity, len(finding.fixes)) == ("warn", 1)
    assert "shares 'churn' with the target" in finding.title


def test_a_price_may_share_its_name_with_a_price() -> None:
    price = DRAW.gamma(5, 10, ROWS)
    cells = {"list_price": price * DRAW.uniform(0.7, 1.3, ROWS), "sale_price": price}
    view = split_view(cells, "regression", ("sale_price",), list_price="number")
    assert found(CHECK, view) == []


def test_weak_suspects_share_a_line() -> None:
    cells = {f"{name}_date_known": wrong(0.35) for name in ("closed", "ended", "exit")}
    kinds = dict.fromkeys(cells, "category")
    view = split_view(cells | {"y": np.where(YES, "yes", "no")}, "binary", **kinds)
    (finding,) = found(CHECK, view)
    assert "3 columns sound" in finding.title
