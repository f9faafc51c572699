"""Binary classification."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fieldcraft.core import catalog
from fieldcraft.core.types import Array, Json
from fieldcraft.data.cell_parser import TRUE_WORDS
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.statistics import calibration, classification_metrics, thresholds
from fieldcraft.statistics.metrics import Predictions
from fieldcraft.tasks import _base

POSITIVE_WORDS = TRUE_WORDS | {
    "positive", "pos", "bad", "fraud", "spam", "churned", "sick", "dead",
}  # fmt: skip


class BinaryTask(_base.ClassificationTask):
    """Predict one of two classes and its probability."""

    name = "binary"
    metrics = (
        classification_metrics.ROC_AUC,
        classification_metrics.LOG_LOSS,
        classification_metrics.ACCURACY,
        classification_metrics.BALANCED_ACCURACY,
        classification_metrics.AVERAGE_PRECISION,
        classification_metrics.F1,
        classification_metrics.PRECISION,
        classification_metrics.RECALL,
        classification_metrics.MATTHEWS_CORRCOEF,
        classification_metrics.BRIER,
        classification_metrics.BINARY_CALIBRATION_ERROR,
        classification_metrics.COVERAGE,
        classification_metrics.MEAN_SET_SIZE,
    )

    def infer(self, profiles: Sequence[ColumnProfile]) -> TypeInference | None:
        """Match a target with two distinct values."""
        profile = profiles[0]
        if len(profiles) > 1 or profile.n_unique != 2:
            return None
        class_counts = " and ".join(
            f"{value!r} ({count:,})" for value, count in profile.most_common(2)
        )
        return TypeInference(
            self.name,
            0.9,
            f"two classes, {class_counts}",
            {"positive_class": guess_positive_class(profile)},
        )

    def calibrate(
        self, outputs: Array, y: Array, target_spec: Json, weights: Array | None = None
    ) -> Json:
        """Fit temperature and set threshold, and choose the decision threshold."""
        # Thresholds apply to calibrated probabilities, so the temperature comes first.
        calibration_state = super().calibrate(outputs, y, target_spec, weights)
        positive_probability = self.apply_calibration(outputs, calibration_state)[:, 1]
        threshold = target_spec.get("threshold")
        if isinstance(threshold, str):
            threshold = thresholds.best_threshold(y == 1, positive_probability, threshold, weights)
        return {**calibration_state, "threshold": threshold}

    def predictions_from_outputs(
        self, outputs: Array, target_spec: Json, calibration_state: Json
    ) -> Predictions:
        """Positive at or above the threshold; without one, the most probable or cheapest class."""
        predictions = super().predictions_from_outputs(outputs, target_spec, calibration_state)
        # Costs determine the decision by themselves; a threshold would contradict them.
        threshold = calibration_state["threshold"]
        if threshold is None or target_spec.get("costs"):
            return predictions
        return replace(predictions, decisions=(outputs[:, 1] >= threshold).astype(np.int64))

    def diagnostics(self, y: Array, predictions: Predictions, target_spec: Json) -> Json:
        """Tables, reliability of the positive class, ROC and threshold curves, largest errors."""
        positive_probability = predictions.outputs[:, 1]
        return {
            **super().diagnostics(y, predictions, target_spec),
            "reliability": calibration.reliability_curve(positive_probability, y == 1),
            "roc_curve": compute_roc_points(y, positive_probability),
            "threshold_curve": thresholds.precision_recall_curve(y == 1, positive_probability),
        }


def guess_positive_class(profile: ColumnProfile) -> str:
    """The positive class: the only one with a positive word, else the rarer one."""
    # The target itself is parsed as a category, where 1.0 becomes 1. Labels are in descending
    # order of frequency, so the last one is the rarer.
    parsed = catalog.load_plugin("kinds", "category").parse(profile.value_counts["value"], {})
    labels = [str(value) for value in parsed]
    positive_labels = [label for label in labels if label.strip().lower() in POSITIVE_WORDS]
    return positive_labels[0] if len(positive_labels) == 1 else labels[-1]


def compute_roc_points(y: Array, scores: Array, max_points: int = 100) -> list[list[float]]:
    """Points (false positive rate, true positive rate) of the ROC curve, thinned for charts."""
    order = np.argsort(-scores, kind="stable")
    is_positive = y[order] == 1
    # A threshold cannot separate rows of equal score, so only the last of them is a point.
    threshold_ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    true_positive_rate = np.cumsum(is_positive)[threshold_ends] / max(int(is_positive.sum()), 1)
    false_positive_rate = np.cumsum(~is_positive)[threshold_ends] / max(
        int((~is_positive).sum()), 1
    )
    shown_indices = np.unique(
        np.linspace(0, len(threshold_ends) - 1, max_points).round().astype(int)
    )
    return [
        [0.0, 0.0],
        *([float(false_positive_rate[i]), float(true_positive_rate[i])] for i in shown_indices),
    ]


TASK = BinaryTask()
