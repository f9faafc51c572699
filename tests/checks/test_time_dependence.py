"""The check that tests whether the target depends on time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.time_dependence import (
    CHECK,
    TimeDependence,
    measure_dates,
    measure_time_dependence,
)
from fieldcraft.contracts import CheckContext
from fieldcraft.core.config_edit import ConfigEdit
from tests.checks.contexts import run_check, split_context

DRAW = np.random.default_rng(0)
ROWS = 800
DAYS = np.datetime64("2021-01-01") + np.arange(ROWS) // 2
DRIFT = np.where(DRAW.random(ROWS) < np.linspace(0.15, 0.85, ROWS), "yes", "no")
FIX = (ConfigEdit(("data", "time_column"), "day"), ConfigEdit(("split", "strategy"), "time"))


def view(y: Any, days: Any = DAYS, task: str = "binary", **more: Any) -> CheckContext:
    cells = {"day": days.astype(str), **{n: c.astype(str) for n, c in more.items()}, "y": y}
    return split_context(cells, task, **{name: "datetime" for name in cells if name != "y"})


def test_a_stable_target_is_not_reported() -> None:
    assert run_check(CHECK, view(DRAW.choice(["yes", "no"], ROWS))) == []


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (DRIFT, "binary"),
        (np.cumsum(DRAW.normal(size=ROWS)), "regression"),
        (np.where(np.sin(np.arange(ROWS) / 9) > DRAW.normal(0, 0.4, ROWS), "u", "v"), "binary"),
    ],
    ids=["drift", "walk", "wave"],
)
def test_the_fix_for_a_file_ordered_by_date_is_a_split_by_time(y: Any, task: str) -> None:
    (finding,) = run_check(CHECK, view(y, task=task))
    assert (finding.severity, finding.column) == ("warning", "day")
    assert finding.fixes == FIX


def test_a_file_in_descending_order_is_ordered() -> None:
    (finding,) = run_check(CHECK, view(DRIFT[::-1], DAYS[::-1]))
    assert finding.fixes == FIX


def test_an_unordered_file_has_no_fix() -> None:
    order = DRAW.permutation(ROWS)
    (finding,) = run_check(CHECK, view(DRIFT[order], DAYS[order]))
    assert (finding.severity, finding.fixes) == ("warning", ())


def test_two_dates_have_no_fix() -> None:
    (finding,) = run_check(CHECK, view(DRIFT, born=DAYS - 9_000 - DRAW.integers(0, 9_000, ROWS)))
    assert (finding.column, finding.fixes) == ("day", ())


def test_a_weak_trend_is_an_info() -> None:
    weak = np.where(DRAW.random(ROWS) < np.linspace(0.33, 0.67, ROWS), "yes", "no")
    findings = run_check(CHECK, view(weak))
    assert [f.severity for f in findings] in ([], ["info"])


def test_a_date_with_many_missing_values_is_not_checked() -> None:
    days = np.where(DRAW.random(ROWS) < 0.2, "", DAYS.astype(str))
    assert run_check(CHECK, view(DRIFT, days)) == []


def test_a_declared_time_column_is_not_reported() -> None:
    assert run_check(CHECK, replace(view(DRIFT), time_column="day")) == []


@pytest.mark.parametrize(("rows", "reported"), [(100, True), (99, False)])
def test_a_hundred_rows_are_needed(rows: int, reported: bool) -> None:
    days = (np.datetime64("2021-01-01") + np.arange(rows)).astype(str)
    cells = {"day": days, "y": np.where(np.arange(rows) < rows // 2, "u", "v")}
    assert bool(run_check(CHECK, split_context(cells, "binary", day="datetime"))) is reported


def blocks(share: float) -> Any:
    """Return a target in twenty blocks of 200 rows, with alternating proportions."""
    row, odd = np.arange(4_000), np.arange(4_000) // 200 % 2
    place = (row * 79) % 200  # the rows of each block have a fixed, shuffled order
    return np.where(place < 200 * np.where(odd, 0.5 + share, 0.5 - share), "yes", "no")


@pytest.mark.parametrize(
    ("share", "severity"),
    # Blocks explain (2 share)^2 of the variance, minus .005 by chance for 20 blocks.
    [(0.085, None), (0.10, "info"), (0.155, "info"), (0.17, "warning")],
)
def test_severity_follows_the_trend(share: float, severity: str | None) -> None:
    days = np.datetime64("2011-01-01") + np.arange(4_000)
    cells = {"day": days.astype(str), "y": blocks(share)}
    findings = run_check(CHECK, split_context(cells, "binary", day="datetime"))
    assert [f.severity for f in findings] == ([severity] if severity else [])
    for finding in findings:
        explained = (2 * share) ** 2
        expected = 1 - (1 - explained) * 3_999 / 3_980
        assert finding.evidence["trend"] == pytest.approx(expected, abs=1e-6)
        assert f"y changes with day ({expected:.0%} of its variance)" in finding.title
        assert finding.fixes == (FIX if severity == "warning" else ())


@pytest.mark.parametrize(("gaps", "reported"), [(40, True), (41, False)])
def test_a_date_needs_values_in_95_percent_of_the_rows(gaps: int, reported: bool) -> None:
    days = np.where(np.arange(ROWS) < gaps, "", DAYS.astype(str))
    assert bool(run_check(CHECK, view(DRIFT, days))) is reported


@pytest.mark.parametrize(("shift", "fixed"), [(0, True), (1, False)])
def test_an_ordered_file_has_a_rank_correlation_near_one(shift: int, fixed: bool) -> None:
    # Spearman's rho of rows that are moved by k places is 1 - 6 k (n - k) / (n^2 - 1): .9925.
    days = np.datetime64("2021-01-01") + np.arange(ROWS)
    (finding,) = run_check(CHECK, view(np.roll(DRIFT, shift), np.roll(days, shift)))
    assert bool(finding.fixes) is fixed


def test_the_stronger_of_trend_and_autocorrelation_is_described() -> None:
    drifting, alike = (
        TimeDependence("d", "y", 0.3, 0.2, True),
        TimeDependence("d", "y", 0.2, 0.3, True),
    )
    assert drifting.strength == alike.strength == 0.3
    assert drifting.describe() == "changes with d (30% of its variance)"
    assert alike.describe() == "is similar in rows close in d (serial correlation 30%)"


def test_insignificant_dependence_is_zero() -> None:
    noise = DRAW.normal(size=(ROWS, 1))
    assert measure_time_dependence("d", "y", noise, True) == TimeDependence(
        "d", "y", 0.0, 0.0, True
    )
    walk = np.cumsum(noise, axis=0)
    assert measure_time_dependence("d", "y", walk, True).strength > 0.8


def test_other_dates_are_named_and_constant_dates_ignored() -> None:
    same = np.full(ROWS, np.datetime64("2021-01-01"))
    (finding,) = run_check(CHECK, view(DRIFT, same=same))
    assert finding.fixes == FIX  # the one date that there is
    later = DAYS + np.random.default_rng(0).integers(0, 60, ROWS)
    (finding,) = run_check(CHECK, view(DRIFT, sent=later))
    assert (finding.column, finding.evidence["other_columns"]) == ("day", ["sent"])
    assert [c.is_file_order for c in measure_dates(view(DRIFT, sent=later))] == [True, False]
