"""One of two classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fieldcraft.contracts import Array, Json
from fieldcraft.core import catalogue
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.parse import TRUE_WORDS
from fieldcraft.evidence import calibration, class_metrics, classes, thresholds
from fieldcraft.evidence.metrics import Said

POSITIVE_WORDS = TRUE_WORDS | {
    "positive", "pos", "bad", "fraud", "spam", "churned", "sick", "dead",
}  # fmt: skip


class BinaryTask(classes.Classes):
    """Tell which of two classes a row belongs to, and how likely."""

    name = "binary"
    metrics = (
        class_metrics.ROC_AUC,
        class_metrics.LOG_LOSS,
        class_metrics.ACCURACY,
        class_metrics.BALANCED_ACCURACY,
        class_metrics.AVERAGE_PRECISION,
        class_metrics.F1,
        class_metrics.PRECISION,
        class_metrics.RECALL,
        class_metrics.MATTHEWS,
        class_metrics.BRIER,
        class_metrics.BINARY_CALIBRATION,
        class_metrics.COVERAGE,
        class_metrics.SET_SIZE,
    )
    baselines = ("constant", "rule", "linear", "lightgbm")

    def recognise(self, looks: Sequence[Look]) -> Guess | None:
        """A target with two different values."""
        look = looks[0]
        if len(looks) > 1 or look.distinct != 2:
            return None
        shown = " and ".join(f"{value!r} ({count:,})" for value, count in look.top(2))
        return Guess(self.name, 0.9, f"two classes, {shown}", {"positive": positive_class(look)})

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Cross-entropy, for training a network."""
        from fieldcraft.fit.losses import cross_entropy

        return partial(cross_entropy, smoothing=smoothing)

    def activate(self, raw: Any) -> Any:
        """Raw network outputs to probabilities."""
        return raw.softmax(-1)

    def calibrate(
        self, outputs: Array, y: Array, about: Json, weights: Array | None = None
    ) -> Json:
        """Temperature and set limit, and the threshold that the project file asks for."""
        found = super().calibrate(outputs, y, about, weights)
        score = self.calibrated(outputs, found)[:, 1]
        wanted = about.get("threshold")
        if isinstance(wanted, str):
            wanted = thresholds.best_threshold(y == 1, score, wanted, weights)
        return {**found, "threshold": wanted}

    def read(self, outputs: Array, about: Json, calibration: Json) -> Said:
        """Positive above the threshold; without one, the likelier or the cheaper class."""
        said = super().read(outputs, about, calibration)
        threshold = calibration["threshold"]
        if threshold is None or about.get("costs"):
            return said
        return replace(said, decisions=(outputs[:, 1] >= threshold).astype(np.int64))

    def evidence(self, y: Array, said: Said, about: Json) -> Json:
        """Tables, reliability, ROC and threshold curves, worst rows."""
        positive = said.outputs[:, 1]
        return {
            **super().evidence(y, said, about),
            "reliability": calibration.reliability(positive, y == 1),
            "roc": roc_points(y, positive),
            "thresholds": thresholds.curve(y == 1, positive),
        }


def positive_class(look: Look) -> str:
    """The class that counts as yes: the only one with a word for it, else the rarer one."""
    read = catalogue.load("kinds", "category").parse(look.counts["value"], {})
    labels = [str(value) for value in read]  # as classes are read, commonest first
    named = [label for label in labels if label.strip().lower() in POSITIVE_WORDS]
    return named[0] if len(named) == 1 else labels[-1]


def roc_points(y: Array, score: Array, most: int = 100) -> list[list[float]]:
    """Points (false positive rate, true positive rate) of the ROC curve, thinned for drawing."""
    order = np.argsort(-score, kind="stable")
    positive = y[order] == 1
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(positive)[ends] / max(int(positive.sum()), 1)
    misses = np.cumsum(~positive)[ends] / max(int((~positive).sum()), 1)
    kept = np.unique(np.linspace(0, len(ends) - 1, most).round().astype(int))
    return [[0.0, 0.0], *([float(misses[i]), float(hits[i])] for i in kept)]


TASK = BinaryTask()
