"""One of three or more classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.statistics import classification_metrics
from fieldcraft.tasks import _base

MAX_NUMERIC_CLASSES = 10  # whole numbers up to this many different ones are taken for classes
MAX_DISTINCT_FRACTION = 0.2  # of different values among the rows


class MulticlassTask(_base.ClassificationTask):
    """Tell which of several classes a row belongs to, and how likely each is."""

    name = "multiclass"
    metrics = (
        classification_metrics.LOG_LOSS,
        classification_metrics.ACCURACY,
        classification_metrics.BALANCED_ACCURACY,
        classification_metrics.MACRO_F1,
        classification_metrics.MATTHEWS_CORRCOEF,
        classification_metrics.ROC_AUC_OVR,
        classification_metrics.MULTICLASS_BRIER,
        classification_metrics.TOP_LABEL_CALIBRATION_ERROR,
        classification_metrics.COVERAGE,
        classification_metrics.MEAN_SET_SIZE,
    )
    baselines = ("constant", "rule", "linear", "lightgbm")

    def infer(self, profiles: Sequence[ColumnProfile]) -> TypeInference | None:
        """A target with three or more words, or a few different whole numbers."""
        profile = profiles[0]
        if (
            len(profiles) > 1
            or profile.n_unique < 3
            or profile.n_unique > MAX_DISTINCT_FRACTION * len(profile.present_values) + 3
        ):
            return None
        if profile.numeric_fraction == 1.0:
            if not profile.is_integer or profile.n_unique > MAX_NUMERIC_CLASSES:
                return None
            reason = f"{profile.n_unique} different whole numbers"
            return TypeInference(
                self.name, 0.6, reason + "; 'ordinal' or 'regression' if order matters"
            )
        return TypeInference(self.name, 0.9, f"{profile.n_unique:,} different classes")

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Cross-entropy, for training a network."""
        from fieldcraft.fit.losses import cross_entropy

        return partial(cross_entropy, label_smoothing=smoothing)

    def activate(self, raw: Any) -> Any:
        """Raw network outputs to probabilities."""
        return raw.softmax(-1)


TASK = MulticlassTask()
