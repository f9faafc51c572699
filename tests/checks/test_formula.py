"""The check that computes a number target from other columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.formula import CHECK, rounding
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding
from tests.checks.views import found, split_view

DRAW = np.random.default_rng(0)
ROWS = 500
A, B, C = DRAW.gamma(2, 10, ROWS), DRAW.gamma(3, 5, ROWS), DRAW.normal(50, 10, ROWS)
OFF = DRAW.random(ROWS)
NOISE = {f"n{i}": DRAW.normal(size=ROWS) for i in range(8)}


def look(y: Any, **columns: Any) -> list[Finding]:
    cells = {**NOISE, **columns, "y": y}
    kinds = {name: "number" for name in cells if name != "y"}
    return found(CHECK, split_view(cells, "regression", **kinds))


@pytest.mark.parametrize(
    ("y", "words", "names"),
    [
        (A + B, "a + b", "ab"),
        (B - A, "b - a", "ab"),
        (-A - B, "0 - a - b", "ab"),
        (A + B - C, "a + b - c", "abc"),
        (np.round(10 * (A + B)), "a sum of a and b, weighted", "ab"),
        (A * B, "a × b", "ab"),
        (A / B, "a / b", "ab"),
        (0.2 * A * B / C, "a × b / c", "abc"),
        (np.round(A * B * 100 * (1 - OFF)), "a × b × (1 - off)", ("a", "b", "off")),
        (1 / (A * B), "1 / a / b", "ab"),
    ],
)
def test_a_formula_is_found_and_written_out(y: Any, words: str, names: Any) -> None:
    (finding,) = look(y, a=A, b=B, c=C, off=OFF)
    assert finding.severity == "stop"
    assert f"y is {words} in " in finding.title
    assert finding.fixes == tuple(Edit(("data", "drop"), name, add=True) for name in names)


def test_a_stretch_of_time_is_the_difference_of_its_ends() -> None:
    start = np.datetime64("2021-01-01") + DRAW.integers(0, 600, ROWS)
    days = DRAW.integers(1, 60, ROWS)
    cells = {"start": start.astype(str), "end": (start + days).astype(str), "y": days * 1.0}
    view = split_view(cells, "regression", start="datetime", end="datetime")
    (finding,) = found(CHECK, view)
    assert "y is end - start in 100% of the rows" in finding.title


def test_gaps_and_a_few_wrong_rows_do_not_hide_a_formula() -> None:
    holed = np.where(DRAW.random(ROWS) < 0.1, np.nan, A)
    wrong = A + B
    wrong[:4] += 500
    (finding,) = look(wrong, a=holed, b=B)
    assert "a + b in 99% of the rows" in finding.title


@pytest.mark.parametrize(
    "y",
    [
        A + B + DRAW.normal(0, 3, ROWS),
        A * B * np.exp(DRAW.normal(0, 0.1, ROWS)),
        np.round((A + B) / 30),  # a few steps fit anything
        A,  # alone: for the check `leak`
        DRAW.normal(size=ROWS),
    ],
    ids=["noisy sum", "noisy product", "steps", "copy", "noise"],
)
def test_what_is_not_computed_is_not_reported(y: Any) -> None:
    assert look(y, a=A, b=B) == []


def test_two_formulas_are_both_found() -> None:
    parts = {"a": A, "rest": A + B - A, "c": C, "left": A + B - C}
    assert {tuple(f.evidence["columns"]) for f in look(A + B, **parts)} == {
        ("a", "rest"), ("c", "left"),
    }  # fmt: skip


def test_many_columns_do_not_hide_a_formula_of_three() -> None:
    many = {f"m{i}": DRAW.normal(size=ROWS) for i in range(90)}
    (finding,) = look(A + B - C, a=A, b=B, c=C, **many)
    assert finding.evidence["columns"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("values", "step"),
    [([10.0, 250.0], 5), ([1.0, 300.0], 0.5), ([1.0, 2.0], 0), ([0.12, 9.0], 0.005)],
)
def test_rounding_is_forgiven_where_it_is_fine(values: list[float], step: float) -> None:
    assert rounding(np.array(values)) == pytest.approx(step)


def test_classes_have_no_formula() -> None:
    cells = {"a": A, "b": B, "y": np.where(A > B, "u", "v")}
    assert found(CHECK, split_view(cells, "binary", a="number", b="number")) == []
