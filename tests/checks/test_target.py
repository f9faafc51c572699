"""The check that looks at the training target by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.target import CHECK
from fieldcraft.evidence.records import Finding
from tests.checks.views import found, split_view

DRAW = np.random.default_rng(0)
ROWS = 1_000
AMOUNT = DRAW.normal(100, 20, ROWS)


def look(y: Any, task: str = "regression") -> list[Finding]:
    return found(CHECK, split_view({"a": np.arange(len(y)), "y": y}, task, a="number"))


@pytest.mark.parametrize(
    "y",
    [
        AMOUNT,
        DRAW.integers(3, 9, ROWS).astype(float),  # grades: few values, ends are no limits
        np.exp(0.5 * DRAW.normal(size=ROWS)),
        DRAW.poisson(2, ROWS).astype(float),
        np.round(AMOUNT, 1),
        np.round(AMOUNT / 10) * 10,  # all are rounded: that is how it is measured
    ],
    ids=["normal", "grades", "skewed", "counts", "one digit", "tens"],
)
def test_ordinary_amounts_are_not_reported(y: Any) -> None:
    assert look(y) == []


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.minimum(AMOUNT, 125), "have the largest value, 125; values beyond seem to be cut off"),
        (np.maximum(AMOUNT, 75), "have the smallest value, 75"),
        (np.where(DRAW.random(ROWS) < 0.4, 0, AMOUNT), "y is 0.0000 in 4"),
        (np.where(np.arange(ROWS) < 3, 900, AMOUNT), "3 training rows lie far from the rest (900"),
        (np.exp(2 * DRAW.normal(size=ROWS)), "the largest 1% of the rows hold"),
        (np.where(DRAW.random(ROWS) < 0.6, np.round(AMOUNT * 50, -3), np.round(AMOUNT * 50)),
         "of the rows are multiples of 1,000"),
    ],
    ids=["limit", "floor", "zeros", "far", "tail", "rounded"],
)  # fmt: skip
def test_what_is_odd_about_an_amount_is_a_tip(y: Any, words: str) -> None:
    findings = look(y)
    assert any(words in f.title for f in findings), [f.title for f in findings]
    assert {(f.severity, f.column, f.fixes) for f in findings} == {("tip", "y", ())}


def test_a_single_class_is_a_warning() -> None:
    (finding,) = look(np.array(["a"] * 60), "binary")
    assert (finding.severity, finding.column) == ("warn", "y")
    assert look(np.array(["a", "b"] * 30), "binary") == []


def test_labels_that_are_always_the_same_share_a_line() -> None:
    cells = {"a": np.arange(60), "one": [0] * 60, "two": [0, 1] * 30, "three": [1] * 60}
    view = split_view(cells, "labels", ("one", "two", "three"), a="number")
    (finding,) = found(CHECK, view)
    assert finding.title == "one, three are the same in every training row"
