"""The check of the distribution of the training target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.target_distribution import CHECK
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import run_check, split_context

DRAW = np.random.default_rng(0)
ROWS = 1_000
AMOUNT = DRAW.normal(100, 20, ROWS)


def look(y: Any, task: str = "regression") -> list[Finding]:
    return run_check(CHECK, split_context({"a": np.arange(len(y)), "y": y}, task, a="number"))


@pytest.mark.parametrize(
    "y",
    [
        AMOUNT,
        DRAW.integers(3, 9, ROWS).astype(float),  # grades: few values, not censored
        np.exp(0.5 * DRAW.normal(size=ROWS)),
        DRAW.poisson(2, ROWS).astype(float),
        np.round(AMOUNT, 1),
        np.round(AMOUNT / 10) * 10,  # all values are rounded
    ],
    ids=["normal", "grades", "skewed", "counts", "one digit", "tens"],
)
def test_ordinary_regression_targets_are_not_reported(y: Any) -> None:
    assert look(y) == []


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.minimum(AMOUNT, 125), "have the largest value, 125; values beyond seem to be censored"),
        (np.maximum(AMOUNT, 75), "have the smallest value, 75"),
        (np.where(DRAW.random(ROWS) < 0.4, 0, AMOUNT), "y is 0.0000 in 4"),
        (np.where(np.arange(ROWS) < 3, 900, AMOUNT), "3 training rows are far from the rest (900"),
        (np.exp(2 * DRAW.normal(size=ROWS)), "the largest 1% of the rows hold"),
        (np.where(DRAW.random(ROWS) < 0.6, np.round(AMOUNT * 50, -3), np.round(AMOUNT * 50)),
         "of the rows are multiples of 1,000"),
    ],
    ids=["limit", "floor", "zeros", "far", "tail", "rounded"],
)  # fmt: skip
def test_unusual_regression_targets_are_an_info(y: Any, words: str) -> None:
    findings = look(y)
    assert any(words in f.title for f in findings), [f.title for f in findings]
    assert {(f.severity, f.column, f.fixes) for f in findings} == {("info", "y", ())}


def test_a_single_class_is_a_warning() -> None:
    (finding,) = look(np.array(["a"] * 60), "binary")
    assert (finding.severity, finding.column) == ("warning", "y")
    assert look(np.array(["a", "b"] * 30), "binary") == []


def test_constant_labels_share_a_finding() -> None:
    cells = {"a": np.arange(60), "one": [0] * 60, "two": [0, 1] * 30, "three": [1] * 60}
    view = split_context(cells, "labels", ("one", "two", "three"), a="number")
    (finding,) = run_check(CHECK, view)
    assert finding.title == "one, three are the same in every training row"


def findings_with(y: Any, words: str) -> list[Finding]:
    """Return the findings for a regression target whose title contains these words."""
    return [f for f in look(np.asarray(y, dtype=float)) if words in f.title]


EVEN = np.arange(1_000.0)  # distinct values without outliers


@pytest.mark.parametrize(("count", "reported"), [(10, True), (9, False)])
@pytest.mark.parametrize("sign", [1, -1], ids=["largest", "smallest"])
def test_one_percent_of_rows_at_an_extreme_is_censoring(
    count: int, reported: bool, sign: int
) -> None:
    y = sign * (np.minimum(EVEN, 1_000 - count) + 1)
    findings = findings_with(y, "seem to be censored")
    assert bool(findings) is reported
    for finding in findings:
        assert finding.evidence == {"value": sign * (1_001 - count), "rows": count}
        assert ("largest" if sign > 0 else "smallest") in finding.title


@pytest.mark.parametrize(("near", "reported"), [(4, True), (5, False)])
def test_censored_values_are_five_times_as_frequent_as_near_ones(near: int, reported: bool) -> None:
    y = np.concatenate([np.arange(900), np.repeat(890, near - 1), np.repeat(900, 20)]) + 1.0
    y = np.append(y, np.repeat(879, 9) + 1.0)  # twenty-first below the end: not near
    assert bool(findings_with(y, "seem to be censored")) is reported


def test_zeros_and_few_distinct_values_are_not_censored() -> None:
    assert findings_with(np.maximum(EVEN - 100, 0), "seem to be censored") == []
    assert findings_with(np.minimum(np.arange(1_000) % 49, 47), "seem to be censored") == []
    assert (
        len(findings_with(np.minimum(np.arange(1_000) % 100, 49) + 1, "seem to be censored")) == 1
    )


@pytest.mark.parametrize(("count", "reported"), [(300, True), (299, False)])
def test_thirty_percent_of_rows_with_one_value_are_reported(count: int, reported: bool) -> None:
    y = np.where(count > EVEN, 500.5, EVEN)
    findings = findings_with(y, "of the rows")
    assert [f.evidence for f in findings] == [{"value": 500.5, "rows": 300}] * reported


@pytest.mark.parametrize(("quartiles", "reported"), [(7.9, False), (8.1, True)])
@pytest.mark.parametrize("sign", [1, -1])
def test_outliers_are_listed_by_row_number(quartiles: float, reported: bool, sign: int) -> None:
    body = np.linspace(-1, 1, 2_001)  # quartiles -.5 and .5
    y = np.append(body, sign * (0.5 + quartiles))
    view = split_context({"a": y, "y": y}, "regression", a="number")
    findings = run_check(CHECK, replace(view, row_numbers=range(5_001, 7_003)))
    shown = [f.evidence["rows"] for f in findings if "far from the rest" in f.title]
    assert shown == [[7_002]] * reported


@pytest.mark.parametrize(("far", "reported"), [(10, True), (11, False)])
def test_more_than_one_percent_of_rows_are_no_outliers(far: int, reported: bool) -> None:
    y = np.append(np.linspace(0, 1, 1_000 - far), np.full(far, 90.0))
    assert bool(findings_with(y, "far from the rest")) is reported


@pytest.mark.parametrize(("largest", "reported"), [(3.31, True), (3.29, False)])
def test_a_heavy_tail_has_a_quarter_of_the_sum_in_one_percent_of_rows(
    largest: float, reported: bool
) -> None:
    y = np.append(np.full(990, 0.1), np.full(10, largest))  # 10 x of 99 + 10 x
    findings = findings_with(y, "hold")
    assert [f.evidence["fraction"] for f in findings] == (
        [pytest.approx(10 * largest / (99 + 10 * largest))] * reported
    )
    assert findings_with(np.append(y, -0.1), "hold") == []


@pytest.mark.parametrize(
    ("tens", "reported"), [(299, False), (301, True), (989, True), (991, False)]
)
def test_partly_rounded_values_are_reported(tens: int, reported: bool) -> None:
    y = np.where(tens > EVEN, 10 * EVEN, 10 * EVEN + 3)
    findings = findings_with(y, "are multiples of 10")
    assert [f.evidence for f in findings] == [{"step": 10, "fraction": tens / 1_000}] * reported


@pytest.mark.parametrize(("rows", "reported"), [(50, True), (49, False)])
def test_regression_targets_need_fifty_rows(rows: int, reported: bool) -> None:
    y = np.append(np.linspace(0, 1, rows - 1), 900.0)
    assert bool(look(y)) is reported
