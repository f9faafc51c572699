"""The check that finds simple rules over two columns that leak the target."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.tree import DecisionTreeClassifier

from fieldcraft.checks.pairwise_leak import (
    CHECK,
    PairRule,
    best_cuts,
    compare_values,
    held_out_association,
    screen_pairs,
    select_columns,
)
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.ledger.records import Finding
from tests.checks.contexts import run_check, split_context

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
    return run_check(CHECK, split_context(cells, task, **kinds))


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
def test_a_rule_over_two_numbers_is_an_error(y: Any) -> None:
    (finding,) = look(y, a=A, b=B)
    assert finding.severity == "error"
    assert finding.evidence["columns"] == ["a", "b"]
    assert finding.evidence["association_strength"] > 0.99
    assert finding.fixes == tuple(ConfigEdit(("data", "drop"), name, append=True) for name in "ab")


def test_a_rule_over_a_number_and_a_category_is_found() -> None:
    (finding,) = look(((TYPE == "p") & (A > 14)) | ((TYPE == "q") & (A < 25)), a=A, type=TYPE)
    assert set(finding.evidence["columns"]) == {"a", "type"}


def test_a_rule_with_few_exceptions_is_a_warning() -> None:
    exceptions = DRAW.random(ROWS) < 0.008
    (finding,) = look(((A > 15) ^ (B > 13)) ^ exceptions, a=A, b=B)
    assert (finding.severity, finding.fixes) == ("warning", ())


@pytest.mark.parametrize(
    "y",
    [
        A / 20 + B / 15 + DRAW.normal(0, 0.3, ROWS) > 2,
        ((A > 15) ^ (B > 13)) ^ (DRAW.random(ROWS) < 0.1),
        A > 20,  # left to the target leakage check
        DRAW.random(ROWS) < 0.5,
        np.arange(ROWS) < 12,
    ],
    ids=["legitimate", "noisy", "one column", "noise", "few rows"],
)
def test_relations_without_a_rule_are_not_reported(y: Any) -> None:
    assert look(y, a=A, b=B) == []


def test_rules_for_a_label_are_found() -> None:
    labels = {
        "one": (DRAW.random(ROWS) < 0.5).astype(int),
        "two": ((A > 15) ^ (B > 13)).astype(int),
    }
    view = split_context(
        {"a": A, "b": B, **labels}, "labels", ("one", "two"), a="number", b="number"
    )
    (finding,) = run_check(CHECK, view)
    assert "of two by" in finding.title


def test_cuts_separate_the_classes() -> None:
    x, y = np.arange(90.0), np.arange(90) // 30 % 2
    assert best_cuts(x, y, 2).tolist() == [29.5, 59.5]
    assert best_cuts(np.array([1.0, 1.0, np.nan, 1.0, 1.0]), np.array([0, 1, 1, 0, 1]), 2).size == 0


def crossed(wrong: int, each: int = 200) -> list[Finding]:
    """Return the findings for two flags that together determine the class, with errors."""
    p, q = np.repeat([0, 0, 1, 1], each), np.repeat([0, 1, 0, 1], each)
    y = p ^ q
    for k in (0, 1):
        y[np.flatnonzero(p ^ q == k)[:: 2 * each // max(wrong, 1)][:wrong]] = 1 - k
    cells = {"p": np.where(p, "u", "v"), "q": np.where(q, "s", "t"), "y": np.where(y, "yes", "no")}
    return run_check(CHECK, split_context(cells, "binary", p="category", q="category"))


@pytest.mark.parametrize(
    ("wrong", "severity"),
    # Lambda is 1 - 2 e of a share e of wrong rows in even classes: here .995, .99, .955 and .95,
    # and a little less, as what chance guesses right is more than a half.
    [(0, "error"), (1, "error"), (2, "warning"), (9, "warning"), (10, None)],
)
def test_thresholds_of_error_and_warning(wrong: int, severity: str | None) -> None:
    findings = crossed(wrong)
    assert [f.severity for f in findings] == ([severity] if severity else [])
    for finding in findings:
        assert bool(finding.fixes) == (severity == "error")
        assert (
            1 - 2.2 * wrong / 400 <= finding.evidence["association_strength"] <= 1 - 2 * wrong / 400
        )


@pytest.mark.parametrize(
    ("power", "alone", "tells"),
    [
        (0.95, (0.2, 0.89), True),
        (0.949, (0.2, 0.3), False),
        (0.95, (0.91, 0.3), False),  # a twentieth more than each column alone
        (0.95, (0.3, 0.91), False),
        (0.97, (0.3, 0.91), True),
    ],
)
def test_a_rule_must_be_strong_and_stronger_than_each_column(
    power: float, alone: tuple[float, float], tells: bool
) -> None:
    assert PairRule(("a", "b"), power, alone).is_leak() is tells


@pytest.mark.parametrize(("each", "reported"), [(25, True), (24, False)])
def test_a_hundred_rows_are_needed(each: int, reported: bool) -> None:
    assert bool(crossed(0, each)) == reported


@pytest.mark.parametrize(("levels", "reported"), [(5, True), (7, False)])
def test_targets_of_up_to_twenty_classes_are_checked(levels: int, reported: bool) -> None:
    a, b = np.arange(840) % levels, np.arange(840) // levels % (4 if levels == 5 else 3)
    cells = {
        "a": np.char.add("a", a.astype(str)),
        "b": np.char.add("b", b.astype(str)),
        "y": np.char.add("c", (a * 4 + b).astype(str)),
    }
    findings = run_check(CHECK, split_context(cells, "multiclass", a="category", b="category"))
    assert len(set(cells["y"])) == (20 if reported else 21)
    assert [f.severity for f in findings] == ["error"] * reported


def test_the_most_associated_columns_are_paired() -> None:
    few = {f"c{i}": 0.01 * i for i in range(30)}
    assert select_columns(few) == list(few)
    assert select_columns({**few, "d": 0.5}) == ["d", *reversed([*few][1:])]
    assert select_columns({"a": 0.9, "b": 0.899, "c": 0.95}) == [
        "b"
    ]  # the first is left to the target leakage check


def test_comparisons_of_two_numbers_are_encoded() -> None:
    a, b = np.array([1.0, 2.0, 1.0, np.nan, 0.0]), np.array([1.0, 1.0, 2.0, 0.0, np.nan])
    assert compare_values(a, b).tolist() == [0, 1, 2, 3, 3]


def test_held_out_association_is_balanced_recall_on_the_other_half() -> None:
    codes = np.array([0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1])
    y = np.array([0, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 1])
    half = np.arange(12) < 5
    # Code 0 is guessed as class 0, code 1 as class 1: recalls of 1/2 and 3/5, a mean of .55, and
    # (.55 - .5) / .5 = .1 of the way from chance to certainty.
    assert held_out_association(codes, y, half, 2) == pytest.approx(0.1)
    # Code 0 holds half of the rows of class 0, and two fifths of those of class 1.
    assert held_out_association(codes, y, ~half, 2) == pytest.approx(1.0)


def test_a_column_occurs_in_one_rule_and_labels_are_named() -> None:
    a, b = np.repeat([0, 1], 400), np.tile([0, 1], 400)
    cells = {"a": np.where(a, "u", "v"), "b": np.where(b, "s", "t"), "c": np.where(b, "p", "q")}
    view = split_context(
        {**cells, "one": a ^ b}, "labels", ("one",), a="category", b="category", c="category"
    )
    (finding,) = run_check(CHECK, view)
    assert (finding.column, finding.evidence["columns"]) == ("a", ["a", "b"])
    assert "explain 100% of one by a simple rule (alone 0% and 0%)" in finding.title


def test_missing_numbers_are_a_separate_code() -> None:
    gone = DRAW.random(ROWS) < 0.3
    y = np.where(gone, B > 13, (A > 15) & (B < 13))
    (finding,) = look(y, a=np.where(gone, np.nan, A), b=B)
    assert finding.evidence["columns"] == ["a", "b"]
    assert finding.severity == "error"


@pytest.mark.parametrize(("wrong", "promises"), [(76, True), (84, False)])
def test_promising_pairs_have_an_association_of_three_fifths(wrong: int, promises: bool) -> None:
    p, q = np.repeat([0, 1], 400), np.tile([0, 1], 400)
    y = p ^ q
    cells = np.arange(800) // 2 % 200  # of each of the four cells 200 rows
    y = np.where(cells < wrong // 2, 1 - y, y)  # right in 1 - e of the rows: 1 - 2 e above chance
    values = pl.DataFrame(
        {"p": np.char.add("p", p.astype(str)), "q": np.char.add("q", q.astype(str))}
    )
    pairs = screen_pairs(values, {"p": p, "q": q}, ["p", "q"], y, 2)
    assert pairs == [("p", "q")] * promises


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_best_cut_is_that_of_a_decision_tree(classes: int) -> None:
    for seed in range(10):
        draw = np.random.default_rng(seed)
        x = draw.normal(size=80).round(1)
        y = np.clip(np.digitize(x + draw.normal(0, 0.5, 80), np.linspace(-1, 1, classes - 1)), 0, 4)
        tree = DecisionTreeClassifier(max_depth=1).fit(x[:, None], y).tree_
        np.testing.assert_allclose(best_cuts(x, y, 1), tree.threshold[:1])
