from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fieldcraft.checks.label_noise import CHECK, MOST_ROWS
from fieldcraft.contracts import Array, View
from fieldcraft.core import catalogue
from fieldcraft.evidence.metrics import Said
from tests.checks.views import found, split_view

ROWS = 2500
DRAW = np.random.default_rng(1)


def champion(outputs: Array, classes: list[str], y: Array, task: str = "multiclass") -> View:
    """Judge rows with labels, and what a champion says about them."""
    cells = {"x": list(map(str, range(len(y)))), "y": [classes[k] for k in y]}
    view = split_view(cells, task, x="number")
    about = {"classes": classes}
    plug = catalogue.load("tasks", task)
    calibration = {"temperature": 1.0, "limit": 0.9, "threshold": None}
    said = plug.read(outputs, about, calibration)
    return replace(view, task=plug, about=about, y=y, said=said)


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
    (finding,) = found(CHECK, champion(outputs, list("abcd"), y))
    assert finding.severity == "warn"
    assert finding.name == "label_noise:y"
    assert finding.evidence["low"] <= flipped <= finding.evidence["high"]
    rows = finding.evidence["rows"]
    assert len(rows) == MOST_ROWS
    assert all(wrong[row["at"]] for row in rows)
    assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
    for row in rows:
        assert row["line"] == row["at"] + 1
        assert row["given"] == "abcd"[y[row["at"]]] != row["suggested"]
    assert {item["class"] for item in finding.evidence["classes"]} == set("abcd")
    assert abs(finding.evidence["doubted"] - wrong.sum()) < 0.25 * wrong.sum()


def test_labels_of_a_class_that_are_wrong_more_often_come_first() -> None:
    outputs, y, _ = easy(3, 0.0)
    truth, torn = y.copy(), DRAW.random(ROWS) < 0.3
    y[(truth == 0) & torn] = 1
    (finding,) = found(CHECK, champion(outputs, list("abc"), y))
    first, *others = finding.evidence["classes"]
    assert first["class"] == "b"
    assert first["share"] == pytest.approx(((truth == 0) & torn).sum() / (y == 1).sum(), abs=0.06)
    assert all(item["share"] < 0.02 for item in others)


def test_sound_labels_are_passed() -> None:
    outputs, y, _ = easy(4, 0.0)
    assert found(CHECK, champion(outputs, list("abcd"), y)) == []


def overlapping(spread: float) -> View:
    score = DRAW.normal(size=ROWS) * spread
    chance = 1 / (1 + np.exp(-score))
    y = (DRAW.random(ROWS) < chance).astype(np.int64)
    return champion(np.stack([1 - chance, chance], axis=1), ["no", "yes"], y, "binary")


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_a_champion_that_knows_little_doubts_nothing(spread: float) -> None:
    assert [f for f in found(CHECK, overlapping(spread)) if f.severity != "tip"] == []


@pytest.mark.parametrize("spread", [2.0, 3.0])
def test_classes_that_overlap_are_a_tip_in_careful_words(spread: float) -> None:
    for finding in found(CHECK, overlapping(spread)):
        assert finding.severity == "tip"
        assert "worth a second look" in finding.title
        assert "may explain that as well" in finding.title


def test_each_label_of_many_is_looked_at() -> None:
    outputs, y, _ = easy(2, 0.0)
    other, torn, flipped = easy(2, 0.1)
    cells = {"x": list(map(str, range(ROWS))), "happy": y.tolist(), "sad": torn.tolist()}
    view = split_view(cells, "labels", ("happy", "sad"), x="number")
    plug: Any = catalogue.load("tasks", "multilabel")
    both = np.stack([outputs[:, 1], other[:, 1]], axis=1)
    said = Said(both, (both > 0.5).astype(np.int64), np.ones((ROWS, 2, 2), dtype=bool))
    (finding,) = found(
        CHECK, replace(view, task=plug, about={"labels": ["happy", "sad"]}, said=said)
    )
    assert (finding.severity, finding.column) == ("warn", "sad")
    assert {row["given"] for row in finding.evidence["rows"]} == {"sad", "not sad"}
    assert all(flipped[row["at"]] for row in finding.evidence["rows"])


def test_amounts_few_rows_and_rows_without_a_champion_are_passed() -> None:
    outputs, y, _ = easy(4, 0.3)
    view = champion(outputs, list("abcd"), y)
    assert found(CHECK, replace(view, said=None)) == []
    assert found(CHECK, champion(outputs[:150], list("abcd"), y[:150])) == []
    assert found(CHECK, replace(view, task=catalogue.load("tasks", "regression"))) == []


def test_a_class_without_a_row_is_no_hindrance() -> None:
    outputs, y, _ = easy(4, 0.1)
    y[y == 3] = 0
    assert found(CHECK, champion(outputs, list("abcd"), y))
