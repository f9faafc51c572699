"""One of three or more classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fieldcraft.data.look import Guess, Look
from fieldcraft.evidence import class_metrics, classes

MOST_NUMBERED = 10  # whole numbers up to this many different ones are taken for classes
MOST_SHARE = 0.2  # of different values among the rows


class MulticlassTask(classes.Classes):
    """Tell which of several classes a row belongs to, and how likely each is."""

    name = "multiclass"
    metrics = (
        class_metrics.LOG_LOSS,
        class_metrics.ACCURACY,
        class_metrics.BALANCED_ACCURACY,
        class_metrics.MACRO_F1,
        class_metrics.MATTHEWS,
        class_metrics.ROC_AUC_OF_ALL,
        class_metrics.BRIER_OF_ALL,
        class_metrics.CALIBRATION_ERROR,
        class_metrics.COVERAGE,
        class_metrics.SET_SIZE,
    )
    baselines = ("constant", "rule", "linear", "lightgbm")

    def recognise(self, looks: Sequence[Look]) -> Guess | None:
        """A target with three or more words, or a few different whole numbers."""
        look = looks[0]
        if len(looks) > 1 or look.distinct < 3 or look.distinct > MOST_SHARE * len(look.values) + 3:
            return None
        if look.numeric_share == 1.0:
            if not look.whole_numbers or look.distinct > MOST_NUMBERED:
                return None
            reason = f"{look.distinct} different whole numbers"
            return Guess(self.name, 0.6, reason + "; 'ordinal' or 'regression' if order matters")
        return Guess(self.name, 0.9, f"{look.distinct:,} different classes")

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Cross-entropy, for training a network."""
        from fieldcraft.fit.losses import cross_entropy

        return partial(cross_entropy, smoothing=smoothing)

    def activate(self, raw: Any) -> Any:
        """Raw network outputs to probabilities."""
        return raw.softmax(-1)


TASK = MulticlassTask()
