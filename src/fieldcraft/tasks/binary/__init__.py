"""One of two classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fieldcraft.contracts import Array, Json
from fieldcraft.core import catalogue
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.parse import TRUE_WORDS
from fieldcraft.evidence import calibration, classes, metrics

POSITIVE_WORDS = TRUE_WORDS | {
    "positive", "pos", "bad", "fraud", "spam", "churned", "sick", "dead",
}  # fmt: skip


class BinaryTask(classes.Classes):
    """Tell which of two classes a row belongs to, and how likely."""

    name = "binary"
    metrics = (
        metrics.ROC_AUC,
        metrics.LOG_LOSS,
        metrics.ACCURACY,
        metrics.BALANCED_ACCURACY,
        metrics.AVERAGE_PRECISION,
        metrics.F1,
        metrics.PRECISION,
        metrics.RECALL,
        metrics.MATTHEWS,
        metrics.BRIER,
    )
    baselines = ("constant", "linear", "lightgbm")

    def recognise(self, look: Look) -> Guess | None:
        """A target with two different values."""
        if look.distinct != 2:
            return None
        shown = " and ".join(f"{value!r} ({count:,})" for value, count in look.top(2))
        return Guess(self.name, 0.9, f"two classes, {shown}", {"positive": positive_class(look)})

    def loss(self) -> Callable[[Any, Any], Any]:
        """Cross-entropy, for training a network."""
        from fieldcraft.fit.losses import cross_entropy

        return cross_entropy

    def activate(self, raw: Any) -> Any:
        """Raw network outputs to probabilities."""
        return raw.softmax(-1)

    def evidence(self, y: Array, outputs: Array, about: Json) -> Json:
        """Confusion table, per class figures, reliability curve, ROC curve and worst rows."""
        table = classes.confusion(y, outputs, 2)
        positive = outputs[:, 1]
        chosen = outputs[np.arange(len(y)), y]
        return {
            "classes": about["classes"],
            "confusion": table,
            "per_class": classes.per_class(table, about["classes"]),
            "reliability": calibration.reliability(positive, y == 1),
            "calibration_error": calibration.expected_calibration_error(positive, y == 1),
            "roc": roc_points(y, positive),
            "worst": classes.worst_rows(-chosen),
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
