"""The check that tries simple rules over two columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.rule import CHECK, edges
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding
from tests.checks.views import found, split_view

DRAW = np.random.default_rng(0)
ROWS = 800
A, B = DRAW.gamma(2, 10, ROWS), DRAW.gamma(3, 5, ROWS)
TYPE = DRAW.choice(["p", "q", "r"], ROWS)
NOISE = {f"n{i}": DRAW.normal(size=ROWS) for i in range(6)}


def look(y: Any, **columns: Any) -> list[Finding]:
    cells = {**NOISE, **columns, "y": np.where(y, "yes", "no") if y.dtype == bool else y}
    kinds = {
        name: "number" if np.asarray(column).dtype.kind == "f" else "category"
        for name, column in cells.items()
        if name != "y"
    }
    task = "binary" if y.dtype == bool else "multiclass"
    return found(CHECK, split_view(cells, task, **kinds))


@pytest.mark.parametrize(
    "y",
    [
        (A > 20) & (B > 12),
        (A > 15) ^ (B > 13),
        A > B,
        A - B > 7,
        np.digitize(A, [12.0]) * 2 + (B > 13),
    ],
    ids=["and", "either", "greater", "difference", "four classes"],
)
def test_a_rule_over_two_numbers_stops_the_run(y: Any) -> None:
    (finding,) = look(y, a=A, b=B)
    assert finding.severity == "stop"
    assert finding.evidence["columns"] == ["a", "b"]
    assert finding.evidence["power"] > 0.99
    assert finding.fixes == tuple(Edit(("data", "drop"), name, add=True) for name in "ab")


def test_a_rule_over_a_number_and_a_category_is_found() -> None:
    (finding,) = look(((TYPE == "p") & (A > 14)) | ((TYPE == "q") & (A < 25)), a=A, type=TYPE)
    assert set(finding.evidence["columns"]) == {"a", "type"}


def test_a_rule_with_few_exceptions_is_a_warning() -> None:
    exceptions = DRAW.random(ROWS) < 0.008
    (finding,) = look(((A > 15) ^ (B > 13)) ^ exceptions, a=A, b=B)
    assert (finding.severity, finding.fixes) == ("warn", ())


@pytest.mark.parametrize(
    "y",
    [
        A / 20 + B / 15 + DRAW.normal(0, 0.3, ROWS) > 2,
        ((A > 15) ^ (B > 13)) ^ (DRAW.random(ROWS) < 0.1),
        A > 20,  # alone: for the check `leak`
        DRAW.random(ROWS) < 0.5,
        np.arange(ROWS) < 12,
    ],
    ids=["honest", "noisy", "one column", "noise", "a handful"],
)
def test_what_is_no_rule_is_not_reported(y: Any) -> None:
    assert look(y, a=A, b=B) == []


def test_rules_for_a_label_are_found() -> None:
    labels = {
        "one": (DRAW.random(ROWS) < 0.5).astype(int),
        "two": ((A > 15) ^ (B > 13)).astype(int),
    }
    view = split_view({"a": A, "b": B, **labels}, "labels", ("one", "two"), a="number", b="number")
    (finding,) = found(CHECK, view)
    assert "of two by" in finding.title


def test_a_range_is_cut_where_the_classes_part() -> None:
    x, y = np.arange(90.0), np.arange(90) // 30 % 2
    assert edges(x, y, 2).tolist() == [29.5, 59.5]
    assert edges(np.array([1.0, 1.0, np.nan, 1.0, 1.0]), np.array([0, 1, 1, 0, 1]), 2).size == 0
