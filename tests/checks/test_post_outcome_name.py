"""The check that finds column names that suggest a time after the outcome."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from fieldcraft.checks.post_outcome_name import CHECK
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import run_check, split_context

DRAW = np.random.default_rng(0)
ROWS = 900
YES = DRAW.random(ROWS) < 0.4


def wrong(share: float) -> list[str]:
    """Return the target, flipped in a fraction of the rows."""
    return list(np.where(YES ^ (DRAW.random(ROWS) < share), "1", "0"))


def look(name: str, column: list[str], target: str = "churned") -> list[Finding]:
    cells = {name: column, target: np.where(YES, "yes", "no")}
    return run_check(CHECK, split_context(cells, "binary", (target,), **{name: "category"}))


@pytest.mark.parametrize(
    ("share", "severity", "fixes"),
    [(0.1, "warning", 1), (0.18, "warning", 0), (0.35, "info", 0)],
)
def test_severity_follows_the_association_strength(share: float, severity: str, fixes: int) -> None:
    (finding,) = look("outcome_code", wrong(share))
    assert (finding.severity, len(finding.fixes)) == (severity, fixes)
    assert finding.column == "outcome_code"


@pytest.mark.parametrize("name", ["code", "previous_outcome", "churn_history", "outcome_last_year"])
def test_other_names_and_names_of_the_past_are_not_reported(name: str) -> None:
    assert look(name, wrong(0.1)) == []


def test_a_name_without_association_is_not_reported() -> None:
    assert look("outcome_code", wrong(0.5)) == []


def test_target_leakage_findings_are_not_repeated() -> None:
    assert look("outcome_code", wrong(0.0)) == []


def test_one_nearly_certain_value_is_a_warning() -> None:
    column = np.where(YES & (DRAW.random(ROWS) < 0.3), "1", "0").tolist()
    (finding,) = look("is_violent_churn", column)
    assert (finding.severity, len(finding.fixes)) == ("warning", 1)
    assert "shares 'churn' with the target" in finding.title


def test_regression_targets_may_share_words_with_features() -> None:
    price = DRAW.gamma(5, 10, ROWS)
    cells = {"list_price": price * DRAW.uniform(0.7, 1.3, ROWS), "sale_price": price}
    view = split_context(cells, "regression", ("sale_price",), list_price="number")
    assert run_check(CHECK, view) == []


def test_weak_suspects_share_a_finding() -> None:
    cells = {f"{name}_date_known": wrong(0.35) for name in ("closed", "ended", "exit")}
    kinds = dict.fromkeys(cells, "category")
    view = split_context(cells | {"y": np.where(YES, "yes", "no")}, "binary", **kinds)
    (finding,) = run_check(CHECK, view)
    assert "3 columns sound" in finding.title


def even(wrong: int, name: str = "outcome_code") -> list[Finding]:
    """Return the findings for a copy of a balanced target with errors in both classes."""
    y = np.arange(1_000) % 2
    x = np.where(np.arange(1_000) < 2 * wrong, 1 - y, y)
    cells = {name: np.where(x, "a", "b"), "y": np.where(y, "yes", "no")}
    return run_check(CHECK, split_context(cells, "binary", **{name: "category"}))


@pytest.mark.parametrize(
    ("wrong", "severity", "fixes"),
    # Goodman and Kruskal's lambda is 1 - 2 e; a value makes a class certain by as much, less what
    # its interval (Wilson) is wide: a lift of .8 at e = .085.
    [
        (20, None, 0), (30, "warning", 1),  # .92 is left to target_leakage, .88 is strong
        (70, "warning", 1), (80, "warning", 0),  # .72 and .68
        (115, "warning", 0), (130, "info", 0),  # .54 and .48
        (215, "info", 0), (232, None, 0),  # .14 and .07
    ],
)  # fmt: skip
def test_thresholds_of_severity_and_fix(wrong: int, severity: str | None, fixes: int) -> None:
    findings = even(wrong)
    assert [(f.severity, len(f.fixes)) for f in findings] == [(severity, fixes)] * bool(severity)
    for finding in findings:
        power = (
            finding.evidence.get("association_strength")
            or finding.evidence["columns"]["outcome_code"]
        )
        assert power == pytest.approx(1 - 2 * wrong / 500, abs=0.04)


def one_sided(other: int) -> list[Finding]:
    """Return the findings for a value of 100 of 400 rows of a class and of some other rows."""
    cells = {
        "outcome": ["1"] * 100 + ["0"] * 300 + ["1"] * other + ["0"] * (600 - other),
        "y": ["yes"] * 400 + ["no"] * 600,
    }
    return run_check(CHECK, split_context(cells, "binary", outcome="category"))


@pytest.mark.parametrize(("other", "severity"), [(4, "warning"), (8, "info")])
def test_a_value_with_a_large_lift_is_a_warning(other: int, severity: str) -> None:
    low = binomtest(100, 100 + other).proportion_ci(0.95, "wilson").low
    lift = (low - 0.4) / 0.6
    assert bool(lift >= 0.8) is (severity == "warning")
    (finding,) = one_sided(other)
    assert finding.severity == severity
    if severity == "warning":
        assert finding.evidence["lift"] == pytest.approx(lift)
        assert finding.title.startswith(f"outcome has a value that makes y {lift:.0%} certain, and")
        assert finding.fixes == (ConfigEdit(("data", "drop"), "outcome", append=True),)


def test_weakly_associated_related_names_are_not_reported() -> None:
    assert look("churn_code", wrong(0.35)) == []
    (finding,) = look("churn_code", wrong(0.18))
    assert finding.severity == "warning"
