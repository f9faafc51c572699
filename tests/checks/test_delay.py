"""The check that weighs the days between two dates."""

from __future__ import annotations

import datetime as dt

import numpy as np

from fieldcraft.checks.delay import CHECK
from fieldcraft.evidence.records import Finding
from tests.checks.views import found, split_view

DRAW = np.random.default_rng(0)
ROWS = 1_200
YES = DRAW.random(ROWS) < 0.4
START = [dt.datetime(2020, 1, 1) + dt.timedelta(days=int(d)) for d in DRAW.integers(0, 900, ROWS)]


def look(days: np.ndarray) -> list[Finding]:
    """What is found where a second date lies some days after the first."""
    end = [at + dt.timedelta(days=int(d)) for at, d in zip(START, days, strict=True)]
    cells = {"arrested": START, "released": end, "again": np.where(YES, "yes", "no")}
    kinds = {"arrested": "datetime", "released": "datetime"}
    return found(CHECK, split_view(cells, "binary", ("again",), **kinds))


def test_a_date_that_lies_later_where_the_event_came_is_found() -> None:
    (finding,) = look(np.where(YES, DRAW.integers(60, 300, ROWS), DRAW.integers(1, 100, ROWS)))
    assert finding.severity == "warn"
    assert finding.column == "released"
    assert "days after arrested" in finding.title
    assert finding.fixes == ()


def test_a_date_that_gives_the_event_away_holds_the_run_and_may_be_dropped() -> None:
    (finding,) = look(np.where(YES, 100, 3))
    assert (finding.severity, len(finding.fixes)) == ("stop", 1)


def test_the_earlier_date_is_not_blamed() -> None:
    (finding,) = look(-np.where(YES, DRAW.integers(60, 300, ROWS), DRAW.integers(1, 100, ROWS)))
    assert finding.column == "arrested"


def test_delays_that_tell_little_and_dates_that_tell_by_themselves_are_silent() -> None:
    assert look(DRAW.integers(1, 100, ROWS)) == []
    assert look(np.where(YES & (DRAW.random(ROWS) < 0.3), 200, DRAW.integers(1, 199, ROWS))) == []
