"""Multiclass classification."""

from __future__ import annotations

from collections.abc import Sequence

from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.statistics import classification_metrics
from fieldcraft.tasks import _base

MAX_NUMERIC_CLASSES = 10  # up to this many distinct integers count as classes
MAX_DISTINCT_FRACTION = 0.2  # of the rows; more distinct values are not classes


class MulticlassTask(_base.ClassificationTask):
    """Predict one of several classes and the probability of each."""

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

    def infer(self, profiles: Sequence[ColumnProfile]) -> TypeInference | None:
        """Match a target with three or more words, or with a few distinct integers."""
        profile = profiles[0]
        # In a small table three classes may well exceed the fraction, hence "+ 3".
        if (
            len(profiles) > 1
            or profile.n_unique < 3
            or profile.n_unique > MAX_DISTINCT_FRACTION * len(profile.present_values) + 3
        ):
            return None
        if profile.numeric_fraction == 1.0:
            if not profile.is_integer or profile.n_unique > MAX_NUMERIC_CLASSES:
                return None
            reason = f"{profile.n_unique} distinct integers"
            return TypeInference(
                self.name, 0.6, reason + "; 'ordinal' or 'regression' if their order matters"
            )
        return TypeInference(self.name, 0.9, f"{profile.n_unique:,} classes")


TASK = MulticlassTask()
