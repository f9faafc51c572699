"""The check that looks at the target in the order of the file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.row_order import CHECK
from fieldcraft.contracts import View
from tests.checks.views import found, split_view

DRAW = np.random.default_rng(0)
ROWS = 800
WAVE = np.sin(np.arange(ROWS) / 9)


def view(y: Any, task: str = "binary", **columns: Any) -> View:
    cells = {"noise": DRAW.normal(size=ROWS), **columns, "y": y}
    return split_view(cells, task, **{name: "number" for name in cells if name != "y"})


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
def test_rows_in_no_order_are_not_reported(y: Any, task: str) -> None:
    assert found(CHECK, view(y, task)) == []


@pytest.mark.parametrize(
    ("y", "task"),
    [(waving(), "binary"), (WAVE + DRAW.normal(0, 0.5, ROWS), "regression")],
)
def test_like_neighbours_are_a_warning(y: Any, task: str) -> None:
    (finding,) = found(CHECK, view(y, task))
    assert (finding.severity, finding.column, finding.fixes) == ("warn", None, ())
    assert finding.evidence["beyond"] > 0.3


def test_neighbours_whose_columns_explain_their_likeness_are_a_tip() -> None:
    (finding,) = found(CHECK, view(waving(0.2), wave=WAVE))
    assert finding.severity == "tip"


def test_a_file_sorted_by_class_does_no_harm() -> None:
    (finding,) = found(CHECK, view(np.sort(DRAW.choice(["yes", "no"], ROWS))))
    assert finding.severity == "tip"
    assert "sorted by y" in finding.title


def test_a_file_sorted_by_amount_does_no_harm() -> None:
    (finding,) = found(CHECK, view(np.sort(DRAW.gamma(2, 3, ROWS)), "regression"))
    assert "sorted by y" in finding.title


def test_a_column_that_counts_the_rows_of_a_sorted_file_is_named() -> None:
    late = np.where(DRAW.random(ROWS) < np.linspace(0.1, 0.9, ROWS), "yes", "no")
    (finding,) = found(CHECK, view(late, counter=np.cumsum(DRAW.integers(1, 5, ROWS)) * 1.0))
    assert (finding.severity, finding.column) == ("warn", "counter")


@pytest.mark.parametrize("declared", ["time", "entity"])
def test_declared_time_or_entities_explain_the_order(declared: str) -> None:
    assert found(CHECK, replace(view(waving()), **{declared: "noise"})) == []  # type: ignore[arg-type]


def test_rows_in_the_order_of_a_date_are_left_to_the_check_time_order() -> None:
    days = (np.datetime64("2021-01-01") + np.arange(ROWS)).astype(str)
    cells = {"day": days, "y": waving()}
    assert found(CHECK, split_view(cells, "binary", day="datetime")) == []
