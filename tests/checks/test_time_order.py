"""The check that looks at the target in the order of dates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.time_order import CHECK
from fieldcraft.contracts import View
from fieldcraft.core.edit import Edit
from tests.checks.views import found, split_view

DRAW = np.random.default_rng(0)
ROWS = 800
DAYS = np.datetime64("2021-01-01") + np.arange(ROWS) // 2
DRIFT = np.where(DRAW.random(ROWS) < np.linspace(0.15, 0.85, ROWS), "yes", "no")
FIX = (Edit(("data", "time"), "day"), Edit(("split", "rule"), "time"))


def view(y: Any, days: Any = DAYS, task: str = "binary", **more: Any) -> View:
    cells = {"day": days.astype(str), **{n: c.astype(str) for n, c in more.items()}, "y": y}
    return split_view(cells, task, **{name: "datetime" for name in cells if name != "y"})


def test_a_target_that_does_not_change_is_not_reported() -> None:
    assert found(CHECK, view(DRAW.choice(["yes", "no"], ROWS))) == []


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (DRIFT, "binary"),
        (np.cumsum(DRAW.normal(size=ROWS)), "regression"),
        (np.where(np.sin(np.arange(ROWS) / 9) > DRAW.normal(0, 0.4, ROWS), "u", "v"), "binary"),
    ],
    ids=["drift", "walk", "wave"],
)
def test_a_file_in_the_order_of_its_date_is_to_be_split_by_it(y: Any, task: str) -> None:
    (finding,) = found(CHECK, view(y, task=task))
    assert (finding.severity, finding.column) == ("warn", "day")
    assert finding.fixes == FIX


def test_a_file_with_the_newest_rows_first_is_in_order_too() -> None:
    (finding,) = found(CHECK, view(DRIFT[::-1], DAYS[::-1]))
    assert finding.fixes == FIX


def test_a_person_decides_where_the_file_is_in_no_order() -> None:
    order = DRAW.permutation(ROWS)
    (finding,) = found(CHECK, view(DRIFT[order], DAYS[order]))
    assert (finding.severity, finding.fixes) == ("warn", ())


def test_a_person_decides_between_two_dates() -> None:
    (finding,) = found(CHECK, view(DRIFT, born=DAYS - 9_000 - DRAW.integers(0, 9_000, ROWS)))
    assert (finding.column, finding.fixes) == ("day", ())


def test_a_weak_drift_is_a_tip() -> None:
    weak = np.where(DRAW.random(ROWS) < np.linspace(0.33, 0.67, ROWS), "yes", "no")
    findings = found(CHECK, view(weak))
    assert [f.severity for f in findings] in ([], ["tip"])


def test_a_date_with_many_gaps_orders_nothing() -> None:
    days = np.where(DRAW.random(ROWS) < 0.2, "", DAYS.astype(str))
    assert found(CHECK, view(DRIFT, days)) == []


def test_declared_time_needs_no_word() -> None:
    assert found(CHECK, replace(view(DRIFT), time="day")) == []
