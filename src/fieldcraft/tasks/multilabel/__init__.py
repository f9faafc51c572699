"""Any number of labels for each row, such as the moods of a song."""

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


class MultilabelTask:
    """Tell for each of several labels whether it applies, and how likely."""

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
    baselines = ("constant", "rule", "linear", "lightgbm")

    def infer(self, profiles: Sequence[ColumnProfile]) -> TypeInference | None:
        """Several target columns, each of yes and no."""
        if len(profiles) < 2 or any(profile.n_unique != 2 for profile in profiles):
            return None
        if any(parse_booleans(profile.value_counts["value"]).null_count() for profile in profiles):
            return None
        return TypeInference(self.name, 0.9, f"{len(profiles)} columns of yes and no")

    def describe(self, target: pl.Series, problem: Json) -> Json:
        """The labels.

        Raises:
            DataError: a label that no row or every row has.
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
                "some labels are the same in every row, so there is nothing to learn of them",
                detail=", ".join(constant_labels[:8]),
                hint="leave them out of problem.target, or give rows that differ",
            )
        return {"labels": labels}

    def encode(self, target: pl.Series, target_spec: Json) -> Array:
        """0 or 1 for each label, shape (rows, labels).

        Raises:
            DataError: a cell that is neither yes nor no.
        """
        indicator_columns = []
        for label in target_spec["labels"]:
            cells = target.struct.field(label)
            parsed = parse_booleans(cells)
            invalid = cells.filter(parsed.is_null() & cells.is_not_null())
            if len(invalid):
                raise DataError(
                    f"the label {label!r} has cells that are neither yes nor no",
                    detail=", ".join(map(repr, invalid.unique().head(5).to_list())),
                    hint="use 1 and 0, true and false, or yes and no",
                )
            indicator_columns.append(parsed.fill_null(False).cast(pl.Int64).to_numpy())
        return np.stack(indicator_columns, axis=1)

    def fit_target_scale(self, y: Array) -> Json:
        """Nothing: labels are not scaled."""
        return {}

    def scale_target(self, y: Array, scale: Json) -> Array:
        """Labels as they are."""
        return y

    def unscale_outputs(self, outputs: Array, scale: Json) -> Array:
        """Probabilities as they are."""
        return outputs

    def target_indicator_matrix(self, y: Array, target_spec: Json) -> Array:
        """One column for each label; none where they are many."""
        has_many_labels = y.shape[1] > _base.MAX_TARGET_COLUMNS
        return np.zeros((len(y), 0)) if has_many_labels else y.astype(np.float64)

    def n_outputs(self, target_spec: Json) -> int:
        """One output for each label."""
        return len(target_spec["labels"])

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Cross-entropy of each label, for training a network."""
        from fieldcraft.fit.losses import multilabel_cross_entropy

        return partial(multilabel_cross_entropy, label_smoothing=smoothing)

    def activate(self, raw: Any) -> Any:
        """Raw network outputs to probabilities."""
        return raw.sigmoid()

    def validation_loss(self, outputs: Array, y: Array, weights: Array | None = None) -> float:
        """Log loss over all labels after the best temperature."""
        pair_probabilities, truth = to_binary_probabilities(outputs), y.reshape(-1)
        pair_weights = None if weights is None else weights.repeat(y.shape[1])
        temperature = calibration.fit_temperature(pair_probabilities, truth, pair_weights, steps=12)
        true_probability = calibration.apply_temperature(pair_probabilities, temperature)[
            np.arange(len(truth)), truth
        ]
        return float(
            np.average(-np.log(np.clip(true_probability, MIN_PROBABILITY, 1)), weights=pair_weights)
        )

    def calibrate(
        self, outputs: Array, y: Array, target_spec: Json, weights: Array | None = None
    ) -> Json:
        """One temperature for all labels; threshold and limit of each."""
        pair_weights = None if weights is None else weights.repeat(y.shape[1])
        temperature = calibration.fit_temperature(
            to_binary_probabilities(outputs), y.reshape(-1), pair_weights
        )
        calibrated = self.apply_calibration(outputs, {"temperature": temperature})
        threshold = target_spec.get("threshold")
        label_thresholds = [
            thresholds.best_threshold(y[:, k] == 1, calibrated[:, k], threshold, weights)
            if isinstance(threshold, str)
            else threshold or 0.5
            for k in range(y.shape[1])
        ]
        coverage = target_spec.get("coverage", _base.DEFAULT_COVERAGE)
        return {
            "temperature": temperature,
            "thresholds": label_thresholds,
            "limits": conformal.label_set_thresholds(calibrated, y, coverage, weights),
        }

    def apply_calibration(self, outputs: Array, fitted: Json) -> Array:
        """Probabilities at the fitted temperature."""
        pair_probabilities = calibration.apply_temperature(
            to_binary_probabilities(outputs), fitted["temperature"]
        )
        return np.asarray(pair_probabilities[:, 1].reshape(outputs.shape))

    def predictions_from_outputs(
        self, outputs: Array, target_spec: Json, calibration: Json
    ) -> Predictions:
        """The labels above their thresholds, and those that may be either way."""
        decisions = (outputs >= np.asarray(calibration["thresholds"])).astype(np.int64)
        label_sets = conformal.label_prediction_sets(outputs, calibration["limits"])
        return Predictions(
            outputs, decisions, label_sets, target_spec.get("coverage", _base.DEFAULT_COVERAGE)
        )

    def to_frame(self, predictions: Predictions, target_spec: Json) -> pl.DataFrame:
        """The labels that apply as ``prediction``, joined by ``|``, and ``probability_<label>``."""
        labels = target_spec["labels"]
        probability_columns = [
            pl.Series(f"probability_{label}", predictions.outputs[:, k].astype(np.float64))
            for k, label in enumerate(labels)
        ]
        prediction = _base.join_labels(predictions.decisions, labels).rename("prediction")
        return pl.DataFrame([prediction, *probability_columns])

    def diagnostics(self, y: Array, predictions: Predictions, target_spec: Json) -> Json:
        """Figures of each label, reliability over all of them, worst rows."""
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
            "worst": _base.largest_error_rows(
                -np.log(np.clip(true_probability, MIN_PROBABILITY, 1)).mean(axis=1)
            ),
        }


def to_binary_probabilities(outputs: Array) -> Array:
    """Probabilities of no and yes for each label of each row, shape (rows x labels, 2)."""
    positive = outputs.reshape(-1)
    return np.stack([1 - positive, positive], axis=1)


TASK = MultilabelTask()
