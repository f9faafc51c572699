"""Multilabel classification: any number of labels per row, such as the moods of a song."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.core.types import Array, Json
from fieldcraft.data.cell_parser import parse_booleans
from fieldcraft.data.column_profile import ColumnProfile, TypeInference
from fieldcraft.statistics import calibration, conformal, multilabel_metrics, thresholds
from fieldcraft.statistics.metrics import MIN_PROBABILITY, Predictions
from fieldcraft.tasks import _base


class MultilabelTask(_base.BaseTask):
    """Predict for each of several labels whether it applies, and its probability."""

    name = "multilabel"
    output: Literal["labels"] = "labels"
    metrics = (
        multilabel_metrics.MACRO_ROC_AUC,
        multilabel_metrics.LOG_LOSS,
        multilabel_metrics.MACRO_AVERAGE_PRECISION,
        multilabel_metrics.MICRO_F1,
        multilabel_metrics.MACRO_F1,
        multilabel_metrics.HAMMING_LOSS,
        multilabel_metrics.SUBSET_ACCURACY,
        multilabel_metrics.BRIER,
        multilabel_metrics.COVERAGE,
        multilabel_metrics.MEAN_UNDECIDED_LABELS,
    )

    def infer(self, profiles: Sequence[ColumnProfile]) -> TypeInference | None:
        """Match several boolean target columns."""
        if len(profiles) < 2 or any(profile.n_unique != 2 for profile in profiles):
            return None
        if any(parse_booleans(profile.value_counts["value"]).null_count() for profile in profiles):
            return None
        return TypeInference(self.name, 0.9, f"{len(profiles)} boolean columns")

    def describe(self, target: pl.Series, problem: Json) -> Json:
        """The labels.

        Raises:
            DataError: a label applies to no row, or to every row.
        """
        labels = target.struct.fields
        y = self.encode(target.drop_nulls(), {"labels": labels})
        constant_labels = [
            label
            for label, label_values in zip(labels, y.T, strict=True)
            if len(set(label_values)) < 2
        ]
        if constant_labels:
            raise DataError(
                "some labels are the same in every row, so there is nothing to learn from them",
                detail=", ".join(constant_labels[:8]),
                hint="leave them out of problem.target, or give rows that differ",
            )
        return {"labels": labels}

    def encode(self, target: pl.Series, target_spec: Json) -> Array:
        """Encode labels as 0 or 1, shape (rows, labels).

        Raises:
            DataError: a cell is not a boolean.
        """
        indicator_columns = []
        for label in target_spec["labels"]:
            cells = target.struct.field(label)
            parsed = parse_booleans(cells)
            invalid = cells.filter(parsed.is_null() & cells.is_not_null())
            if len(invalid):
                raise DataError(
                    f"the label {label!r} has cells that are not booleans",
                    detail=", ".join(map(repr, invalid.unique().head(5).to_list())),
                    hint="use 1 and 0, true and false, or yes and no",
                )
            # No effect on training: a row with a missing label has no target and is left out.
            indicator_columns.append(parsed.fill_null(False).cast(pl.Int64).to_numpy())
        return np.stack(indicator_columns, axis=1)

    def target_indicator_matrix(self, y: Array, target_spec: Json) -> Array:
        """One column per label; none with more than `MAX_TARGET_COLUMNS` labels."""
        has_many_labels = y.shape[1] > _base.MAX_TARGET_COLUMNS
        return np.zeros((len(y), 0)) if has_many_labels else y.astype(np.float64)

    def n_outputs(self, target_spec: Json) -> int:
        """One output per label."""
        return len(target_spec["labels"])

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Mean binary cross-entropy over the labels, for training a network."""
        from fieldcraft.fit.losses import multilabel_cross_entropy

        return partial(multilabel_cross_entropy, label_smoothing=smoothing)

    def activate(self, raw: Any) -> Any:
        """Sigmoid of each label."""
        return raw.sigmoid()

    def validation_loss(self, outputs: Array, y: Array, weights: Array | None = None) -> float:
        """Log loss over all labels at the best temperature; see ClassificationTask."""
        # Each pair of a row and a label is one binary prediction, with the weight of its row.
        pair_probabilities, truth = to_binary_probabilities(outputs), y.reshape(-1)
        pair_weights = None if weights is None else weights.repeat(y.shape[1])
        temperature = calibration.fit_temperature(
            pair_probabilities, truth, pair_weights, steps=_base.FAST_TEMPERATURE_STEPS
        )
        true_probability = calibration.apply_temperature(pair_probabilities, temperature)[
            np.arange(len(truth)), truth
        ]
        return float(
            np.average(-np.log(np.clip(true_probability, MIN_PROBABILITY, 1)), weights=pair_weights)
        )

    def calibrate(
        self, outputs: Array, y: Array, target_spec: Json, weights: Array | None = None
    ) -> Json:
        """Fit one temperature for all labels, and per label a decision and a set threshold."""
        pair_weights = None if weights is None else weights.repeat(y.shape[1])
        temperature = calibration.fit_temperature(
            to_binary_probabilities(outputs), y.reshape(-1), pair_weights
        )
        # Thresholds apply to calibrated probabilities, so the temperature comes first.
        calibrated = self.apply_calibration(outputs, {"temperature": temperature})
        threshold = target_spec.get("threshold")
        label_thresholds = [
            thresholds.best_threshold(y[:, k] == 1, calibrated[:, k], threshold, weights)
            if isinstance(threshold, str)
            else threshold or 0.5
            for k in range(y.shape[1])
        ]
        coverage = _base.target_coverage(target_spec)
        return {
            "temperature": temperature,
            "thresholds": label_thresholds,
            "set_thresholds": conformal.label_set_thresholds(calibrated, y, coverage, weights),
        }

    def apply_calibration(self, outputs: Array, calibration_state: Json) -> Array:
        """Scale probabilities by the fitted temperature."""
        pair_probabilities = calibration.apply_temperature(
            to_binary_probabilities(outputs), calibration_state["temperature"]
        )
        return np.asarray(pair_probabilities[:, 1].reshape(outputs.shape))

    def predictions_from_outputs(
        self, outputs: Array, target_spec: Json, calibration_state: Json
    ) -> Predictions:
        """The labels at or above their thresholds, and for each label its prediction set."""
        decisions = (outputs >= np.asarray(calibration_state["thresholds"])).astype(np.int64)
        label_sets = conformal.label_prediction_sets(outputs, calibration_state["set_thresholds"])
        return Predictions(outputs, decisions, label_sets, _base.target_coverage(target_spec))

    def to_frame(self, predictions: Predictions, target_spec: Json) -> pl.DataFrame:
        """Columns ``prediction``, the labels joined by ``|``, and ``probability_<label>``."""
        labels = target_spec["labels"]
        probability_columns = [
            pl.Series(f"probability_{label}", predictions.outputs[:, k].astype(np.float64))
            for k, label in enumerate(labels)
        ]
        prediction = _base.join_selected_labels(predictions.decisions, labels).rename("prediction")
        return pl.DataFrame([prediction, *probability_columns])

    def diagnostics(self, y: Array, predictions: Predictions, target_spec: Json) -> Json:
        """Metrics by label, reliability over all labels, largest errors."""
        label_columns = zip(target_spec["labels"], predictions.decisions.T, y.T, strict=True)
        true_probability = np.where(y == 1, predictions.outputs, 1 - predictions.outputs)
        return {
            "labels": target_spec["labels"],
            "per_class": [
                _base.per_class_metrics(_base.confusion_matrix(truth, decisions, 2), ["", label])[1]
                for label, decisions, truth in label_columns
            ],
            "reliability": calibration.reliability_curve(
                predictions.outputs.reshape(-1), y.reshape(-1) == 1
            ),
            "largest_errors": _base.largest_error_rows(
                -np.log(np.clip(true_probability, MIN_PROBABILITY, 1)).mean(axis=1)
            ),
        }


def to_binary_probabilities(outputs: Array) -> Array:
    """Probabilities of 0 and 1 for each label of each row, shape (rows x labels, 2)."""
    positive = outputs.reshape(-1)
    return np.stack([1 - positive, positive], axis=1)


TASK = MultilabelTask()
