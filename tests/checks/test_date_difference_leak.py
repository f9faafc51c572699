"""The check that finds date differences that leak the target."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from fieldcraft.checks.date_difference_leak import CHECK
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import run_check, split_context

DRAW = np.random.default_rng(0)
ROWS = 1_200
YES = DRAW.random(ROWS) < 0.4
START = [dt.datetime(2020, 1, 1) + dt.timedelta(days=int(d)) for d in DRAW.integers(0, 900, ROWS)]


def look(days: np.ndarray) -> list[Finding]:
    """Return the findings for a second date this many days after the first."""
    end = [at + dt.timedelta(days=int(d)) for at, d in zip(START, days, strict=True)]
    cells = {"arrested": START, "released": end, "again": np.where(YES, "yes", "no")}
    kinds = {"arrested": "datetime", "released": "datetime"}
    return run_check(CHECK, split_context(cells, "binary", ("again",), **kinds))


def test_a_delay_that_depends_on_the_target_is_reported() -> None:
    (finding,) = look(np.where(YES, DRAW.integers(60, 300, ROWS), DRAW.integers(1, 100, ROWS)))
    assert finding.severity == "warning"
    assert finding.column == "released"
    assert "days after arrested" in finding.title
    assert finding.fixes == ()


def test_a_complete_leak_is_an_error_with_a_fix() -> None:
    (finding,) = look(np.where(YES, 100, 3))
    assert (finding.severity, len(finding.fixes)) == ("error", 1)


def test_the_later_date_is_reported() -> None:
    (finding,) = look(-np.where(YES, DRAW.integers(60, 300, ROWS), DRAW.integers(1, 100, ROWS)))
    assert finding.column == "arrested"


def test_weakly_associated_delays_are_not_reported() -> None:
    assert look(DRAW.integers(1, 100, ROWS)) == []
    assert look(np.where(YES & (DRAW.random(ROWS) < 0.3), 200, DRAW.integers(1, 199, ROWS))) == []


def even(wrong: int) -> list[Finding]:
    """Return the findings for delays of 9 days, or 99 with the event, with some exceptions."""
    y = np.arange(1_200) % 2
    late = np.where(np.arange(1_200) < 2 * wrong, 1 - y, y)
    end = [at + dt.timedelta(days=90 * int(d) + 9) for at, d in zip(START, late, strict=True)]
    cells = {"arrested": START, "released": end, "again": np.where(y, "yes", "no")}
    view = split_context(cells, "binary", ("again",), arrested="datetime", released="datetime")
    return run_check(CHECK, view)


@pytest.mark.parametrize(
    ("wrong", "severity"),
    # Goodman and Kruskal's lambda is 1 - 2 e, less a little for chance.
    [(24, "error"), (36, "warning"), (165, "warning"), (190, None)],
)
def test_severity_follows_the_association_strength(wrong: int, severity: str | None) -> None:
    findings = even(wrong)
    assert [f.severity for f in findings] == ([severity] if severity else [])
    for finding in findings:
        assert finding.evidence["released"]["earlier_date"] == "arrested"
        power = finding.evidence["released"]["association_strength"]
        assert power == pytest.approx(1 - 2 * wrong / 600, abs=0.02)
        assert f"released ({power:.0%}, days after arrested)" in finding.title
        drop = (ConfigEdit(("data", "drop"), "released", append=True),)
        assert finding.fixes == (drop if severity == "error" else ())


def test_a_delay_must_be_stronger_than_each_of_its_dates() -> None:
    y = np.arange(1_200) % 2
    first = [dt.datetime(2000 + 10 * int(k), 1, 1) for k in y]  # a complete leak by itself
    second = [dt.datetime(2020, 1, 1) for _ in y]
    cells = {"born": first, "seen": second, "y": np.where(y, "yes", "no")}
    view = split_context(cells, "binary", born="datetime", seen="datetime")
    assert run_check(CHECK, view) == []


def test_a_leaking_date_is_reported_once_for_all_pairs() -> None:
    late = np.where(YES, 100, 3)
    other = [
        at + dt.timedelta(days=int(d))
        for at, d in zip(START, DRAW.integers(0, 9, ROWS), strict=True)
    ]
    end = [at + dt.timedelta(days=int(d)) for at, d in zip(START, late, strict=True)]
    cells = {"start": START, "other": other, "end": end, "y": np.where(YES, "yes", "no")}
    view = split_context(cells, "binary", start="datetime", other="datetime", end="datetime")
    (finding,) = run_check(CHECK, view)
    assert list(finding.evidence) == ["end"]
    assert finding.column == "end"
