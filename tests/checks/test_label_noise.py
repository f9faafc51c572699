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
    """Return a context of evaluation rows with labels and the predictions of a champion."""
    cells = {"x": list(map(str, range(len(y)))), "y": [classes[k] for k in y]}
    view = split_context(cells, task, x="number")
    target_spec = {"classes": classes}
    task_plugin = catalog.load_plugin("tasks", task)
    calibration = {"temperature": 1.0, "set_threshold": 0.9, "threshold": None}
    predictions = task_plugin.predictions_from_outputs(outputs, target_spec, calibration)
    return replace(view, task=task_plugin, target_spec=target_spec, y=y, predictions=predictions)


def easy(classes: int, flipped: float, rows: int = ROWS) -> tuple[Array, Array, Array]:
    """Return probabilities of separable classes, labels, and which of them are flipped."""
    truth = DRAW.integers(0, classes, rows)
    score = 6 * np.eye(classes)[truth] + DRAW.normal(size=(rows, classes))
    outputs = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    wrong = DRAW.random(rows) < flipped
    return outputs, (truth + wrong * DRAW.integers(1, classes, rows)) % classes, wrong


@pytest.mark.parametrize("flipped", [0.05, 0.1])
def test_flipped_labels_are_found_and_counted(flipped: float) -> None:
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


def test_the_class_with_most_wrong_labels_comes_first() -> None:
    outputs, y, _ = easy(3, 0.0)
    truth, is_flipped = y.copy(), DRAW.random(ROWS) < 0.3
    y[(truth == 0) & is_flipped] = 1
    (finding,) = run_check(CHECK, champion(outputs, list("abc"), y))
    first, *others = finding.evidence["classes"]
    assert first["class"] == "b"
    assert first["fraction"] == pytest.approx(
        ((truth == 0) & is_flipped).sum() / (y == 1).sum(), abs=0.06
    )
    assert all(item["fraction"] < 0.02 for item in others)


def test_correct_labels_are_not_reported() -> None:
    outputs, y, _ = easy(4, 0.0)
    assert run_check(CHECK, champion(outputs, list("abcd"), y)) == []


def overlapping(spread: float) -> CheckContext:
    score = DRAW.normal(size=ROWS) * spread
    chance = 1 / (1 + np.exp(-score))
    y = (DRAW.random(ROWS) < chance).astype(np.int64)
    return champion(np.stack([1 - chance, chance], axis=1), ["no", "yes"], y, "binary")


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_a_weak_champion_reports_no_noise(spread: float) -> None:
    assert [f for f in run_check(CHECK, overlapping(spread)) if f.severity != "info"] == []


@pytest.mark.parametrize("spread", [2.0, 3.0])
def test_overlapping_classes_are_an_info(spread: float) -> None:
    for finding in run_check(CHECK, overlapping(spread)):
        assert finding.severity == "info"
        assert "possibly wrong" in finding.title
        assert "may also explain that" in finding.title


def test_each_label_of_a_multilabel_target_is_checked() -> None:
    outputs, y, _ = easy(2, 0.0)
    other, noisy_labels, flipped = easy(2, 0.1)
    cells = {"x": list(map(str, range(ROWS))), "happy": y.tolist(), "sad": noisy_labels.tolist()}
    view = split_context(cells, "labels", ("happy", "sad"), x="number")
    task_plugin: Any = catalog.load_plugin("tasks", "multilabel")
    both = np.stack([outputs[:, 1], other[:, 1]], axis=1)
    predictions = Predictions(
        both, (both > 0.5).astype(np.int64), np.ones((ROWS, 2, 2), dtype=bool)
    )
    (finding,) = run_check(
        CHECK,
        replace(
            view,
            task=task_plugin,
            target_spec={"labels": ["happy", "sad"]},
            predictions=predictions,
        ),
    )
    assert (finding.severity, finding.column) == ("warning", "sad")
    assert {row["given"] for row in finding.evidence["rows"]} == {"sad", "not sad"}
    assert all(flipped[row["index"]] for row in finding.evidence["rows"])


def test_regression_few_rows_and_no_champion_are_not_checked() -> None:
    outputs, y, _ = easy(4, 0.3)
    view = champion(outputs, list("abcd"), y)
    assert run_check(CHECK, replace(view, predictions=None)) == []
    assert run_check(CHECK, champion(outputs[:150], list("abcd"), y[:150])) == []
    assert run_check(CHECK, replace(view, task=catalog.load_plugin("tasks", "regression"))) == []


def test_classes_without_rows_are_allowed() -> None:
    outputs, y, _ = easy(4, 0.1)
    y[y == 3] = 0
    assert run_check(CHECK, champion(outputs, list("abcd"), y))


@pytest.mark.parametrize(("rows", "reported"), [(200, True), (199, False)])
def test_two_hundred_rows_are_needed(rows: int, reported: bool) -> None:
    outputs, y, _ = easy(2, 0.2, rows)
    assert bool(run_check(CHECK, champion(outputs, ["a", "b"], y, "binary"))) is reported


def test_the_fraction_is_that_of_the_most_confident_quarter() -> None:
    rows = 800
    decided = np.arange(rows) % 2
    rank = np.arange(rows) // 2  # of 400 rows of either decision, the surest first
    y = np.where((rank < 100) & (rank % 10 == 0), 1 - decided, decided)
    y = np.where((rank >= 100) & (rank % 10 == 3), 1 - decided, y)
    confidence = 0.999 - rank / 1_000
    outputs = np.stack([np.where(decided == k, confidence, 1 - confidence) for k in (0, 1)], axis=1)
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


def test_the_noisiest_target_gives_the_fraction_and_rows_are_sorted() -> None:
    few, noisy_one, _ = easy(2, 0.06)
    many, noisy_two, _ = easy(2, 0.15)
    cells = {"x": list(map(str, range(ROWS))), "one": noisy_one.tolist(), "two": noisy_two.tolist()}
    view = split_context(cells, "labels", ("one", "two"), x="number")
    task_plugin: Any = catalog.load_plugin("tasks", "multilabel")
    both = np.stack([few[:, 1], many[:, 1]], axis=1)
    predictions = Predictions(
        both, (both > 0.5).astype(np.int64), np.ones((ROWS, 2, 2), dtype=bool)
    )
    view = replace(
        view, task=task_plugin, target_spec={"labels": ["one", "two"]}, predictions=predictions
    )
    (finding,) = run_check(CHECK, view)
    assert finding.column is None
    assert finding.evidence["fraction"] == pytest.approx(0.15, abs=0.04)
    rows = finding.evidence["rows"]
    assert {row["target"] for row in rows} == {"one", "two"}
    assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
    shares = [item["fraction"] for item in finding.evidence["classes"]]
    assert shares == sorted(shares, reverse=True)
    assert "of the labels of one and two look wrong" in finding.title
