"""The check that tests whether the target depends on the row order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from fieldcraft.checks.row_order import (
    CHECK,
    follows_row_order,
    measure_order_dependence,
    measure_targets,
)
from fieldcraft.contracts import CheckContext
from tests.checks.contexts import run_check, split_context

DRAW = np.random.default_rng(0)
ROWS = 800
WAVE = np.sin(np.arange(ROWS) / 9)


def view(y: Any, task: str = "binary", **columns: Any) -> CheckContext:
    cells = {"noise": DRAW.normal(size=ROWS), **columns, "y": y}
    return split_context(cells, task, **{name: "number" for name in cells if name != "y"})


def waving(noise: float = 0.4) -> Any:
    return np.where(WAVE + DRAW.normal(0, noise, ROWS) > 0, "yes", "no")


@pytest.mark.parametrize(
    ("y", "task"),
    [
        (DRAW.choice(["yes", "no"], ROWS), "binary"),
        (DRAW.choice(["a", "b", "c"], ROWS), "multiclass"),
        (DRAW.gamma(2, 3, ROWS), "regression"),
    ],
)
def test_shuffled_rows_are_not_reported(y: Any, task: str) -> None:
    assert run_check(CHECK, view(y, task)) == []


@pytest.mark.parametrize(
    ("y", "task"),
    [(waving(), "binary"), (WAVE + DRAW.normal(0, 0.5, ROWS), "regression")],
)
def test_serial_correlation_is_a_warning(y: Any, task: str) -> None:
    (finding,) = run_check(CHECK, view(y, task))
    assert (finding.severity, finding.column, finding.fixes) == ("warning", None, ())
    assert finding.evidence["partial_serial_correlation"] > 0.3


def test_serial_correlation_explained_by_features_is_an_info() -> None:
    (finding,) = run_check(CHECK, view(waving(0.2), wave=WAVE))
    assert finding.severity == "info"


def test_a_file_sorted_by_class_is_an_info() -> None:
    (finding,) = run_check(CHECK, view(np.sort(DRAW.choice(["yes", "no"], ROWS))))
    assert finding.severity == "info"
    assert "sorted by y" in finding.title


def test_a_file_sorted_by_a_regression_target_is_an_info() -> None:
    (finding,) = run_check(CHECK, view(np.sort(DRAW.gamma(2, 3, ROWS)), "regression"))
    assert "sorted by y" in finding.title


def test_a_row_counter_is_reported() -> None:
    late = np.where(DRAW.random(ROWS) < np.linspace(0.1, 0.9, ROWS), "yes", "no")
    (finding,) = run_check(CHECK, view(late, counter=np.cumsum(DRAW.integers(1, 5, ROWS)) * 1.0))
    assert (finding.severity, finding.column) == ("warning", "counter")
    (finding,) = run_check(CHECK, view(late, first=np.arange(ROWS), counter=np.arange(ROWS) * 2.0))
    assert finding.column == "first"


@pytest.mark.parametrize("declared", ["time_column", "group_column"])
def test_declared_time_or_group_columns_explain_the_order(declared: str) -> None:
    assert run_check(CHECK, replace(view(waving()), **{declared: "noise"})) == []  # type: ignore[arg-type]


def test_rows_ordered_by_date_are_left_to_the_time_dependence_check() -> None:
    days = (np.datetime64("2021-01-01") + np.arange(ROWS)).astype(str)
    cells = {"day": days, "y": waving()}
    assert run_check(CHECK, split_context(cells, "binary", day="datetime")) == []


def test_a_hundred_rows_are_needed() -> None:
    y = np.arange(100) * 1.0
    hundred = split_context({"a": np.zeros(100), "y": y}, "regression", a="number")
    assert len(run_check(CHECK, hundred)) == 1
    fewer = split_context({"a": np.zeros(99), "y": y[:99]}, "regression", a="number")
    assert run_check(CHECK, fewer) == []


@pytest.mark.parametrize(("stretch", "is_sorted"), [(30, True), (29, False)])
def test_a_sorted_file_has_runs_of_thirty_rows(stretch: int, is_sorted: bool) -> None:
    y = np.where(np.arange(30 * stretch) // stretch % 2, "u", "v")
    view = split_context({"a": np.zeros(len(y)), "y": y}, "binary", a="number")
    (finding,) = run_check(CHECK, view)
    assert ("the file is sorted by y" in finding.title) is is_sorted
    assert finding.severity == ("info" if is_sorted else "warning")
    # All neighbors except 29 are equal: the serial correlation of the indicator.
    rows, breaks = len(y), 29
    assert finding.evidence["serial_correlation"] == pytest.approx((rows - 1 - 2 * breaks) / rows)


@pytest.mark.parametrize(("gaps", "expected"), [(10, True), (11, False)])
def test_a_column_in_row_order_has_few_missing_values(gaps: int, expected: bool) -> None:
    rows = np.arange(500.0)
    assert follows_row_order(np.where(rows < gaps, np.nan, -rows), rows) is expected
    assert not follows_row_order(None, rows)


@pytest.mark.parametrize(("shift", "expected"), [(3, True), (4, False)])
def test_a_column_in_row_order_has_a_rank_correlation_near_one(shift: int, expected: bool) -> None:
    rows = np.arange(1_000.0)
    rolled = np.roll(rows, shift)  # Spearman's rho is 1 - 6 k (n - k) / (n^2 - 1)
    assert (1 - 6 * shift * (1_000 - shift) / 999_999 >= 0.98) is expected
    assert follows_row_order(rolled, rows) is expected
    assert follows_row_order(-(rolled**3), rows) is expected


@pytest.mark.parametrize(("rise", "reported"), [(0.30, False), (0.60, True)])
def test_insignificant_order_is_not_reported(rise: float, reported: bool) -> None:
    y = np.where(DRAW.random(2_000) < np.linspace(0.5 - rise / 2, 0.5 + rise / 2, 2_000), 1, 0)
    order = measure_order_dependence("y", y, False, [])
    assert (order is not None) is reported


def test_autocorrelation_explained_by_categories_is_removed() -> None:
    level = np.arange(1_200) // 12 % 2
    y = np.where(DRAW.random(1_200) < 0.1, 1 - level, level)
    alone, known = (
        measure_order_dependence("y", y, False, []),
        measure_order_dependence("y", y, False, [level]),
    )
    assert alone is not None
    assert known is not None
    assert alone.autocorrelation == known.autocorrelation
    assert alone.residual_autocorrelation == pytest.approx(alone.autocorrelation, abs=1e-9)
    assert known.residual_autocorrelation < 0.05


def test_row_numbers_are_those_of_the_file() -> None:
    base = view(np.sort(DRAW.gamma(2, 3, ROWS)), "regression", counter=np.arange(ROWS) * 1.0)
    (finding,) = run_check(CHECK, base)
    assert finding.column == "counter"
    mixed = DRAW.permutation(ROWS) + 1
    (finding,) = run_check(CHECK, replace(base, row_numbers=mixed.tolist()))
    assert finding.column is None  # it does not match the row numbers


def test_the_label_with_the_strongest_order_is_reported() -> None:
    wave, straight = np.sin(np.arange(ROWS) / 9) > 0, np.arange(ROWS) < ROWS // 2
    cells = {"a": np.zeros(ROWS), "wave": wave * 1, "straight": straight * 1}
    (finding,) = run_check(CHECK, split_context(cells, "labels", ("wave", "straight"), a="number"))
    assert "sorted by straight" in finding.title


@pytest.mark.parametrize(("levels", "known"), [(160, True), (161, False)])
def test_explaining_columns_have_five_rows_per_level(levels: int, known: bool) -> None:
    names = np.char.add("l", (np.arange(ROWS) * levels // ROWS).astype(str))
    y = (np.arange(ROWS) * levels // ROWS % 2) ^ (DRAW.random(ROWS) < 0.1)
    (alone,) = measure_targets(y, ("y",), False, [])
    (order,) = measure_targets(y, ("y",), False, [pl.Series("a", names)])
    assert (order.residual_autocorrelation < alone.residual_autocorrelation) is known
