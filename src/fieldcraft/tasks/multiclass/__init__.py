"""One of three or more classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fieldcraft.contracts import Array, Json
from fieldcraft.data.look import Guess, Look
from fieldcraft.evidence import calibration, classes, metrics

MOST_NUMBERED = 10  # whole numbers up to this many different ones are taken for classes
MOST_SHARE = 0.2  # of different values among the rows


class MulticlassTask(classes.Classes):
    """Tell which of several classes a row belongs to, and how likely each is."""

    name = "multiclass"
    metrics = (
        metrics.LOG_LOSS,
        metrics.ACCURACY,
        metrics.BALANCED_ACCURACY,
        metrics.MACRO_F1,
    )
    baselines = ("constant", "linear", "lightgbm")

    def recognise(self, look: Look) -> Guess | None:
        """A target with three or more words, or a few different whole numbers."""
        if look.distinct < 3 or look.distinct > MOST_SHARE * len(look.values) + 3:
            return None
        if look.numeric_share == 1.0:
            if not look.whole_numbers or look.distinct > MOST_NUMBERED:
                return None
            reason = f"{look.distinct} different whole numbers; 'regression' if their order matters"
            return Guess(self.name, 0.6, reason)
        return Guess(self.name, 0.9, f"{look.distinct:,} different classes")

    def loss(self) -> Callable[[Any, Any], Any]:
        """Cross-entropy, for training a network."""
        from fieldcraft.fit.losses import cross_entropy

        return cross_entropy

    def activate(self, raw: Any) -> Any:
        """Raw network outputs to probabilities."""
        return raw.softmax(-1)

    def evidence(self, y: Array, outputs: Array, about: Json) -> Json:
        """Confusion table, per class figures, reliability of the likeliest class, worst rows."""
        table = classes.confusion(y, outputs, len(about["classes"]))
        confidence, right = outputs.max(axis=1), outputs.argmax(axis=1) == y
        return {
            "classes": about["classes"],
            "confusion": table,
            "per_class": classes.per_class(table, about["classes"]),
            "reliability": calibration.reliability(confidence, right),
            "calibration_error": calibration.expected_calibration_error(confidence, right),
            "worst": classes.worst_rows(-outputs[np.arange(len(y)), y]),
        }


TASK = MulticlassTask()
