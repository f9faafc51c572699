from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from fieldcraft.checks.label_noise import CHECK, MAX_LISTED_ROWS
from fieldcraft.contracts import CheckContext
from fieldcraft.core import catalog
from fieldcraft.core.types import Array
from fieldcraft.statistics.metrics import Predictions
from tests.checks.contexts import run_check, split_context

ROWS = 2500
DRAW = np.random.default_rng(1)


def champion(
    outputs: Array, classes: list[str], y: Array, task: str = "multiclass"
) -> CheckContext:
    """Judge rows with labels, and what a champion says about them."""
    cells = {"x": list(map(str, range(len(y)))), "y": [classes[k] for k in y]}
    view = split_context(cells, task, x="number")
    about = {"classes": classes}
    plug = catalog.load_plugin("tasks", task)
    calibration = {"temperature": 1.0, "set_threshold": 0.9, "threshold": None}
    said = plug.predictions_from_outputs(outputs, about, calibration)
    return replace(view, task=plug, target_spec=about, y=y, predictions=said)


def easy(classes: int, flipped: float, rows: int = ROWS) -> tuple[Array, Array, Array]:
    """Probabilities of classes that are told apart, labels, and which of them were flipped."""
    truth = DRAW.integers(0, classes, rows)
    score = 6 * np.eye(classes)[truth] + DRAW.normal(size=(rows, classes))
    outputs = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    wrong = DRAW.random(rows) < flipped
    return outputs, (truth + wrong * DRAW.integers(1, classes, rows)) % classes, wrong


@pytest.mark.parametrize("flipped", [0.05, 0.1])
def test_planted_labels_are_found_and_counted(flipped: float) -> None:
    outputs, y, wrong = easy(4, flipped)
    (finding,) = run_check(CHECK, champion(outputs, list("abcd"), y))
    assert finding.severity == "warning"
    assert finding.accept_key == "label_noise:y"
    assert finding.evidence["low"] <= flipped <= finding.evidence["high"]
    rows = finding.evidence["rows"]
    assert len(rows) == MAX_LISTED_ROWS
    assert all(wrong[row["index"]] for row in rows)
    assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
    for row in rows:
        assert row["line"] == row["index"] + 1
        assert row["given"] == "abcd"[y[row["index"]]] != row["suggested"]
    assert {item["class"] for item in finding.evidence["classes"]} == set("abcd")
    assert abs(finding.evidence["n_suspect"] - wrong.sum()) < 0.25 * wrong.sum()


def test_labels_of_a_class_that_are_wrong_more_often_come_first() -> None:
    outputs, y, _ = easy(3, 0.0)
    truth, torn = y.copy(), DRAW.random(ROWS) < 0.3
    y[(truth == 0) & torn] = 1
    (finding,) = run_check(CHECK, champion(outputs, list("abc"), y))
    first, *others = finding.evidence["classes"]
    assert first["class"] == "b"
    assert first["fraction"] == pytest.approx(
        ((truth == 0) & torn).sum() / (y == 1).sum(), abs=0.06
    )
    assert all(item["fraction"] < 0.02 for item in others)


def test_sound_labels_are_passed() -> None:
    outputs, y, _ = easy(4, 0.0)
    assert run_check(CHECK, champion(outputs, list("abcd"), y)) == []


def overlapping(spread: float) -> CheckContext:
    score = DRAW.normal(size=ROWS) * spread
    chance = 1 / (1 + np.exp(-score))
    y = (DRAW.random(ROWS) < chance).astype(np.int64)
    return champion(np.stack([1 - chance, chance], axis=1), ["no", "yes"], y, "binary")


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_a_champion_that_knows_little_doubts_nothing(spread: float) -> None:
    assert [f for f in run_check(CHECK, overlapping(spread)) if f.severity != "info"] == []


@pytest.mark.parametrize("spread", [2.0, 3.0])
def test_classes_that_overlap_are_a_tip_in_careful_words(spread: float) -> None:
    for finding in run_check(CHECK, overlapping(spread)):
        assert finding.severity == "info"
        assert "possibly wrong" in finding.title
        assert "may explain that as well" in finding.title


def test_each_label_of_many_is_looked_at() -> None:
    outputs, y, _ = easy(2, 0.0)
    other, torn, flipped = easy(2, 0.1)
    cells = {"x": list(map(str, range(ROWS))), "happy": y.tolist(), "sad": torn.tolist()}
    view = split_context(cells, "labels", ("happy", "sad"), x="number")
    plug: Any = catalog.load_plugin("tasks", "multilabel")
    both = np.stack([outputs[:, 1], other[:, 1]], axis=1)
    said = Predictions(both, (both > 0.5).astype(np.int64), np.ones((ROWS, 2, 2), dtype=bool))
    (finding,) = run_check(
        CHECK, replace(view, task=plug, target_spec={"labels": ["happy", "sad"]}, predictions=said)
    )
    assert (finding.severity, finding.column) == ("warning", "sad")
    assert {row["given"] for row in finding.evidence["rows"]} == {"sad", "not sad"}
    assert all(flipped[row["index"]] for row in finding.evidence["rows"])


def test_amounts_few_rows_and_rows_without_a_champion_are_passed() -> None:
    outputs, y, _ = easy(4, 0.3)
    view = champion(outputs, list("abcd"), y)
    assert run_check(CHECK, replace(view, predictions=None)) == []
    assert run_check(CHECK, champion(outputs[:150], list("abcd"), y[:150])) == []
    assert run_check(CHECK, replace(view, task=catalog.load_plugin("tasks", "regression"))) == []


def test_a_class_without_a_row_is_no_hindrance() -> None:
    outputs, y, _ = easy(4, 0.1)
    y[y == 3] = 0
    assert run_check(CHECK, champion(outputs, list("abcd"), y))


@pytest.mark.parametrize(("rows", "reported"), [(200, True), (199, False)])
def test_two_hundred_rows_are_needed(rows: int, reported: bool) -> None:
    outputs, y, _ = easy(2, 0.2, rows)
    assert bool(run_check(CHECK, champion(outputs, ["a", "b"], y, "binary"))) is reported


def test_the_share_is_of_the_surest_quarter_with_its_interval() -> None:
    rows = 800
    decided = np.arange(rows) % 2
    place = np.arange(rows) // 2  # of 400 rows of either decision, the surest first
    y = np.where((place < 100) & (place % 10 == 0), 1 - decided, decided)
    y = np.where((place >= 100) & (place % 10 == 3), 1 - decided, y)
    sure = 0.999 - place / 1_000
    outputs = np.stack([np.where(decided == k, sure, 1 - sure) for k in (0, 1)], axis=1)
    view = champion(outputs, ["no", "yes"], y, "binary")
    (finding,) = run_check(CHECK, replace(view, row_numbers=range(5_001, 5_801)))
    interval = binomtest(20, 200).proportion_ci(0.95, "wilson")  # ten of a hundred, twice
    assert finding.evidence["fraction"] == 0.1
    assert finding.evidence["low"] == pytest.approx(interval.low)
    assert finding.evidence["high"] == pytest.approx(interval.high)
    assert finding.evidence["kappa"] == pytest.approx(0.8)  # Cohen's kappa of nine in ten
    # As many in the second quarter: one, and a standard error of the logarithm of the ratio.
    assert finding.evidence["disagreement_ratio"] == pytest.approx(np.exp((1 / 20 + 1 / 20) ** 0.5))
    assert finding.evidence["n_rows"] == rows
    first = finding.evidence["rows"][0]
    assert first == {
        "index": 0, "line": 5_001, "target": "y", "given": "yes", "suggested": "no",
        "confidence": pytest.approx(0.001),
    }  # fmt: skip
    assert "review the 20 rows that the report lists" in finding.advice
    assert "(probability 0.0010)" in finding.advice
    assert finding.title.startswith(f"about 10.0% ({interval.low:.1%} to {interval.high:.1%}) of")


def test_the_target_with_most_doubts_gives_the_figures_and_rows_are_ordered_over_all() -> None:
    few, torn, _ = easy(2, 0.06)
    many, other, _ = easy(2, 0.15)
    cells = {"x": list(map(str, range(ROWS))), "one": torn.tolist(), "two": other.tolist()}
    view = split_context(cells, "labels", ("one", "two"), x="number")
    plug: Any = catalog.load_plugin("tasks", "multilabel")
    both = np.stack([few[:, 1], many[:, 1]], axis=1)
    said = Predictions(both, (both > 0.5).astype(np.int64), np.ones((ROWS, 2, 2), dtype=bool))
    view = replace(view, task=plug, target_spec={"labels": ["one", "two"]}, predictions=said)
    (finding,) = run_check(CHECK, view)
    assert finding.column is None
    assert finding.evidence["fraction"] == pytest.approx(0.15, abs=0.04)
    rows = finding.evidence["rows"]
    assert {row["target"] for row in rows} == {"one", "two"}
    assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
    shares = [item["fraction"] for item in finding.evidence["classes"]]
    assert shares == sorted(shares, reverse=True)
    assert "of the labels of one and two look wrong" in finding.title
