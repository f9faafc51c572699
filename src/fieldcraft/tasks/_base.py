"""Shared parts of the tasks: defaults, and for classes calibration, decisions and tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import compress
from typing import Any, Literal

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.core.types import Array, Json
from fieldcraft.statistics import calibration, conformal, thresholds
from fieldcraft.statistics.metrics import MIN_PROBABILITY, Predictions

REJECTED_FRACTIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # points of the rejection curve
DEFAULT_COVERAGE = 0.9  # of the rows whose prediction set or interval contains the truth
MAX_TARGET_COLUMNS = 200  # with more classes or labels, encoders get no indicator columns
FAST_TEMPERATURE_STEPS = 12  # enough for early stopping, which fits a temperature every epoch


class BaseTask:
    """Defaults of a task: the baselines, and a target and outputs that need no scaling."""

    baselines = ("constant", "rule", "linear", "lightgbm")

    def fit_target_scale(self, y: Array) -> Json:
        """No scale: learners see the target as it is."""
        return {}

    def scale_target(self, y: Array, scale: Json) -> Array:
        """The target unchanged."""
        return y

    def unscale_outputs(self, outputs: Array, scale: Json) -> Array:
        """Outputs unchanged."""
        return outputs

    def apply_calibration(self, outputs: Array, calibration_state: Json) -> Array:
        """Outputs unchanged."""
        return outputs


class ClassificationTask(BaseTask):
    """Shared behavior of binary, multiclass and ordinal tasks: one output per class."""

    output: Literal["probabilities"] = "probabilities"

    def describe(self, target: pl.Series, problem: Json) -> Json:
        """The classes in order, the positive one last.

        Raises:
            DataError: there are fewer than two classes, or the project file names a class without
                rows.
        """
        # A label that differs from another one by a final period only is the same class: the test
        # file of Adult writes "<=50K." where the training file writes "<=50K".
        labels = set(target.drop_nulls().cast(pl.String).unique().to_list())
        labels = {label for label in labels if label.removesuffix(".") not in labels - {label}}
        if len(labels) < 2:
            raise DataError(
                "the target has fewer than two classes, so there is nothing to learn",
                detail=f"column {target.name!r}: {', '.join(labels) or 'no value'}",
                hint="choose another target, or give rows of every class",
            )
        classes = self.order_classes(sorted(labels), problem)
        cost_matrix(problem.get("costs") or {}, classes)  # fails early on unknown classes
        return {"classes": classes}

    def order_classes(self, labels: Sequence[str], problem: Json) -> list[str]:
        """The classes in their natural order, the positive one last.

        Raises:
            DataError: no row has the positive class.
        """
        positive_class = problem.get("positive_class")
        if positive_class is None:
            return sort_labels(labels)
        require_classes("problem.positive_class", [positive_class], labels)
        other_classes = [label for label in sort_labels(labels) if label != positive_class]
        return [*other_classes, positive_class]

    def encode(self, target: pl.Series, target_spec: Json) -> Array:
        """Class index of each row, shape (rows,); an unknown label may match without its period.

        Raises:
            DataError: a label is not among the classes.
        """
        classes = target_spec["classes"]
        labels = target.cast(pl.String)
        stripped = labels.str.strip_suffix(".")
        labels = stripped.zip_with(~labels.is_in(classes) & stripped.is_in(classes), labels)
        class_indices = labels.replace_strict(
            pl.Series(classes), pl.Series(range(len(classes))), default=None, return_dtype=pl.Int64
        )
        if class_indices.null_count():
            unknown_labels = labels.filter(class_indices.is_null()).unique().to_list()
            raise DataError(
                "some rows have a label that the model does not know",
                detail=f"{', '.join(map(repr, unknown_labels[:5]))} in column {target.name!r}",
                hint=f"use the labels {', '.join(map(repr, classes[:10]))}",
            )
        return class_indices.to_numpy()

    def target_indicator_matrix(self, y: Array, target_spec: Json) -> Array:
        """One column per class but the first, shape (rows, classes - 1); none with many classes."""
        # The first class follows from the others: its indicator is 1 less their sum.
        n_classes = len(target_spec["classes"])
        if n_classes > MAX_TARGET_COLUMNS:
            return np.zeros((len(y), 0))
        return np.asarray(y[:, None] == np.arange(1, n_classes), dtype=np.float64)

    def n_outputs(self, target_spec: Json) -> int:
        """One output per class."""
        return len(target_spec["classes"])

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Cross-entropy, for training a network."""
        from fieldcraft.fit.losses import cross_entropy

        return partial(cross_entropy, label_smoothing=smoothing)

    def activate(self, raw: Any) -> Any:
        """Softmax over the classes."""
        return raw.softmax(-1)

    def validation_loss(self, outputs: Array, y: Array, weights: Array | None = None) -> float:
        """Log loss at the best temperature: the loss that calibration cannot remove.

        Networks become overconfident before they stop learning to separate the classes, and
        calibration corrects the temperature after training anyway.
        Berta et al., *Rethinking Early Stopping: Refine, Then Calibrate*, 2025.
        """
        temperature = calibration.fit_temperature(outputs, y, weights, steps=FAST_TEMPERATURE_STEPS)
        calibrated = calibration.apply_temperature(outputs, temperature)
        losses = -np.log(np.clip(calibrated[np.arange(len(y)), y], MIN_PROBABILITY, 1))
        return float(np.average(losses, weights=weights))

    def calibrate(
        self, outputs: Array, y: Array, target_spec: Json, weights: Array | None = None
    ) -> Json:
        """Fit the temperature, the threshold of prediction sets, and that of rejection."""
        temperature = calibration.fit_temperature(outputs, y, weights)
        calibrated = calibration.apply_temperature(outputs, temperature)
        set_threshold = conformal.class_set_threshold(
            calibrated, y, target_coverage(target_spec), weights
        )
        calibration_state: Json = {"temperature": temperature, "set_threshold": set_threshold}
        if target_spec.get("reject_fraction"):
            # The upper quantile of the negated confidence is the lower quantile of the confidence.
            # With too few rows it is infinite; a threshold of 0 then rejects no row.
            confidence = calibrated.max(axis=1)
            kept_fraction = 1 - target_spec["reject_fraction"]
            calibration_state["reject_threshold"] = max(
                -conformal.conformal_quantile(-confidence, kept_fraction, weights), 0.0
            )
        return calibration_state

    def apply_calibration(self, outputs: Array, calibration_state: Json) -> Array:
        """Probabilities at the fitted temperature."""
        return calibration.apply_temperature(outputs, calibration_state["temperature"])

    def predictions_from_outputs(
        self, outputs: Array, target_spec: Json, calibration_state: Json
    ) -> Predictions:
        """The most probable or least costly class of each row, and its prediction set."""
        costs = cost_matrix(target_spec.get("costs") or {}, target_spec["classes"])
        decisions = (
            thresholds.min_cost_decisions(outputs, np.asarray(costs))
            if costs
            else outputs.argmax(1)
        )
        regions = conformal.class_prediction_sets(outputs, calibration_state["set_threshold"])
        min_confidence = calibration_state.get("reject_threshold")
        # PyTorch and ONNX Runtime round differently, and a row exactly at the threshold must be
        # accepted by both: hence the tolerance.
        is_confident = (
            None
            if min_confidence is None
            else outputs.max(1) >= min_confidence - conformal.PROBABILITY_TOLERANCE
        )
        return Predictions(outputs, decisions, regions, target_coverage(target_spec), is_confident)

    def to_frame(self, predictions: Predictions, target_spec: Json) -> pl.DataFrame:
        """Columns ``prediction``, ``probability_<class>`` and ``prediction_set``.

        With problem.reject_fraction also ``confident``: false for rows that a person should decide.
        """
        classes = target_spec["classes"]
        class_names = pl.Series("prediction", classes, dtype=pl.String)
        probability_columns = [
            pl.Series(f"probability_{label}", predictions.outputs[:, i].astype(np.float64))
            for i, label in enumerate(classes)
        ]
        prediction_sets = join_selected_labels(predictions.regions, classes).rename(
            "prediction_set"
        )
        is_confident = predictions.accepted
        confident_columns = [] if is_confident is None else [pl.Series("confident", is_confident)]
        return pl.DataFrame(
            [
                class_names[predictions.decisions],
                *probability_columns,
                prediction_sets,
                *confident_columns,
            ]
        )

    def diagnostics(self, y: Array, predictions: Predictions, target_spec: Json) -> Json:
        """Confusion matrix, metrics by class, reliability of the top class, largest errors."""
        top_class = predictions.outputs.argmax(axis=1)
        confidence = predictions.outputs.max(axis=1)
        return {
            **classification_tables(y, predictions, target_spec),
            "reliability": calibration.reliability_curve(confidence, top_class == y),
            "largest_errors": largest_error_rows(-predictions.outputs[np.arange(len(y)), y]),
            "rejection": rejection_curve(y, predictions),
        }


def target_coverage(target_spec: Json) -> float:
    """The fraction of rows whose prediction set or interval should contain the truth."""
    return float(target_spec.get("coverage", DEFAULT_COVERAGE))


def classification_tables(y: Array, predictions: Predictions, target_spec: Json) -> Json:
    """Classes, confusion matrix, and metrics by class."""
    classes = target_spec["classes"]
    matrix = confusion_matrix(y, predictions.decisions, len(classes))
    return {
        "classes": classes,
        "confusion_matrix": matrix,
        "per_class": per_class_metrics(matrix, classes),
    }


def rejection_curve(y: Array, predictions: Predictions) -> list[Json]:
    """Accuracy on the accepted rows when the least confident fraction is rejected.

    Chow, *On Optimum Recognition Error and Reject Tradeoff*, IEEE Trans. Inf. Theory, 1970.
    """
    # Most confident rows first: rejecting a fraction keeps the beginning.
    order = np.argsort(-predictions.outputs.max(axis=1), kind="stable")
    is_correct = (predictions.decisions == y)[order]
    points = []
    for fraction in REJECTED_FRACTIONS:
        is_correct_accepted = is_correct[: max(round(len(is_correct) * (1 - fraction)), 1)]
        points.append({"reject_fraction": fraction, "accuracy": float(is_correct_accepted.mean())})
    return points


def join_selected_labels(selected: Array, labels: Sequence[str]) -> pl.Series:
    """Join the selected labels of each row by ``|``; `selected` has shape (rows, labels)."""
    # Few combinations of labels occur in most rows, so each combination is joined only once.
    joined_by_key: dict[bytes, str] = {}
    keys = [row.tobytes() for row in np.packbits(selected.astype(bool), axis=1)]
    for key, row in zip(keys, selected, strict=True):
        if key not in joined_by_key:
            joined_by_key[key] = "|".join(compress(labels, row))
    return pl.Series([joined_by_key[key] for key in keys], dtype=pl.String)


def cost_matrix(
    costs: Mapping[str, Mapping[str, float]], classes: Sequence[str]
) -> list[list[float]] | None:
    """The cost matrix, shape (actual, predicted); errors that are not listed cost 1.

    Returns:
        None if the project file sets no costs.

    Raises:
        DataError: a class has no rows, or a cost is below 0.
    """
    if not costs:
        return None
    require_classes(
        "problem.costs",
        [*costs, *(predicted_class for row in costs.values() for predicted_class in row)],
        classes,
    )
    negative_costs = [value for row in costs.values() for value in row.values() if value < 0]
    if negative_costs:
        raise DataError(
            "a cost is below 0",
            detail=f"problem.costs: {negative_costs[0]:g}",
            hint="give what each error costs beyond a correct decision",
        )
    return [
        [
            float(costs.get(actual, {}).get(predicted, float(actual != predicted)))
            for predicted in classes
        ]
        for actual in classes
    ]


def require_classes(setting: str, labels: Sequence[str], classes: Sequence[str]) -> None:
    """Check that labels in the project file are classes of the target.

    Raises:
        DataError: a label is not a class.
    """
    unknown_labels = [label for label in labels if label not in classes]
    if unknown_labels:
        suggestion = did_you_mean(unknown_labels[0], classes)
        raise DataError(
            f"no row has the class {unknown_labels[0]!r} that {setting} names",
            detail=f"classes: {', '.join(classes[:10])}",
            hint=f"set {setting} to classes of the target: {suggestion}",
        )


def sort_labels(labels: Sequence[str]) -> list[str]:
    """Sort labels naturally: numbers by value, then words alphabetically.

    >>> sort_labels(["10", "9", "b", "a"])
    ['9', '10', 'a', 'b']
    """

    def key(label: str) -> tuple[int, float, str]:
        try:
            value = float(label)
        except ValueError:
            return (1, 0.0, label)
        # "nan" counts as a word: comparisons with the number NaN would leave no order.
        return (0, value, label) if math.isfinite(value) else (1, 0.0, label)

    return sorted(labels, key=key)


def confusion_matrix(y: Array, decisions: Array, n_classes: int) -> list[list[int]]:
    """Counts by actual class (rows) and predicted class (columns)."""
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(matrix, (y, decisions), 1)
    return [[int(count) for count in row] for row in matrix]


def per_class_metrics(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> list[Json]:
    """Rows, precision and recall of each class from a confusion matrix; None where undefined."""
    counts = np.asarray(matrix)
    metrics = []
    for i, label in enumerate(classes):
        n_actual, n_predicted, n_correct = (
            int(counts[i].sum()),
            int(counts[:, i].sum()),
            int(counts[i, i]),
        )
        metrics.append(
            {
                "class": label,
                "rows": n_actual,
                "precision": n_correct / n_predicted if n_predicted else None,
                "recall": n_correct / n_actual if n_actual else None,
            }
        )
    return metrics


def largest_error_rows(loss: Array, max_rows: int = 20) -> list[int]:
    """Positions of the rows with the largest loss, in descending order."""
    return [int(i) for i in np.argsort(-loss, kind="stable")[:max_rows]]
