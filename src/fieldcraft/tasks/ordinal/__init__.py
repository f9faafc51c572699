"""Ordinal classification: classes with an order, such as grades."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array, Json
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.statistics import calibration, classification_metrics, ordinal_metrics
from fieldcraft.statistics.metrics import MIN_PROBABILITY, Predictions
from fieldcraft.tasks import _base


class OrdinalTask(_base.ClassificationTask):
    """Predict one of several ordered classes; a near miss is better than a far one."""

    name = "ordinal"
    metrics = (
        ordinal_metrics.RANKED_PROBABILITY_SCORE,
        ordinal_metrics.QUADRATIC_KAPPA,
        ordinal_metrics.ORDINAL_MAE,
        ordinal_metrics.MACRO_ORDINAL_MAE,
        classification_metrics.ACCURACY,
        classification_metrics.BALANCED_ACCURACY,
        classification_metrics.LOG_LOSS,
        classification_metrics.TOP_LABEL_CALIBRATION_ERROR,
        classification_metrics.COVERAGE,
        classification_metrics.MEAN_SET_SIZE,
    )

    def infer(self, profiles: Sequence[ColumnProfile]) -> TypeInference | None:
        """Never match: data alone cannot show whether an order matters."""
        return None

    def order_classes(self, labels: Sequence[str], problem: Json) -> list[str]:
        """The classes from lowest to highest: in the order of problem.class_order, or as numbers.

        Raises:
            DataError: problem.class_order lacks a class, or is missing where labels are words.
        """
        order = list(problem.get("class_order") or [])
        missing_labels = sorted(set(labels) - set(order))
        if order and not missing_labels:
            # Classes without rows are left out, as nothing can be learned about them.
            return [label for label in order if label in set(labels)]
        if order or not all(is_number(label) for label in labels):
            raise DataError(
                "the order of the classes is not known",
                detail=f"not in the order: {', '.join((missing_labels or sorted(labels))[:8])}",
                hint="set problem.class_order to the classes, from lowest to highest",
            )
        return _base.sort_labels(labels)

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Binary cross-entropy of the cumulative probabilities, for training a network."""
        from fieldcraft.fit.losses import ordinal_cross_entropy

        return partial(ordinal_cross_entropy, label_smoothing=smoothing)

    def target_indicator_matrix(self, y: Array, target_spec: Json) -> Array:
        """The class index as one column, since the mean of ordered classes is meaningful."""
        return y[:, None].astype(np.float64)

    def validation_loss(self, outputs: Array, y: Array, weights: Array | None = None) -> float:
        """Log loss of the cumulative probabilities P(y <= k) at the best temperature."""
        temperature = calibration.fit_temperature(
            outputs, y, weights, steps=_base.FAST_TEMPERATURE_STEPS
        )
        scaled = calibration.apply_temperature(outputs, temperature)
        # P(y <= last class) is always 1, so it is left out.
        cumulative = np.cumsum(scaled, axis=1)[:, :-1]
        truth = np.arange(cumulative.shape[1]) >= y[:, None]
        true_probability = np.clip(np.where(truth, cumulative, 1 - cumulative), MIN_PROBABILITY, 1)
        return float(np.average(-np.log(true_probability).mean(axis=1), weights=weights))

    def predictions_from_outputs(
        self, outputs: Array, target_spec: Json, calibration_state: Json
    ) -> Predictions:
        """The median class of each row, or the least costly one."""
        predictions = super().predictions_from_outputs(outputs, target_spec, calibration_state)
        if target_spec.get("costs"):
            return predictions
        # The median minimizes the expected distance to the true class; the mode would minimize the
        # probability of an error, however far.
        median_class = (np.cumsum(outputs, axis=1) < 0.5).sum(axis=1)
        decisions = np.minimum(median_class, outputs.shape[1] - 1)
        return replace(predictions, decisions=decisions)


def is_number(text: str) -> bool:
    """Whether a label is a finite number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


TASK = OrdinalTask()
