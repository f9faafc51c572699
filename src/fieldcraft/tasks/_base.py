"""What every task with classes shares: labels and indexes, calibration, decisions, tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Literal

import numpy as np
import polars as pl

from fieldcraft.core.errors import DataError, did_you_mean
from fieldcraft.core.types import Array, Json
from fieldcraft.statistics import calibration, conformal, thresholds
from fieldcraft.statistics.metrics import MIN_PROBABILITY, Predictions

REJECTED_FRACTIONS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # shares of rows left to a person
DEFAULT_COVERAGE = 0.9  # of predicted sets, unless the project file says otherwise
MAX_TARGET_COLUMNS = 200  # of classes that encoders may ask about one by one


class ClassificationTask:
    """The part of a task that is the same for two classes, for many, and for ordered ones."""

    output: Literal["probabilities"] = "probabilities"

    def describe(self, target: pl.Series, problem: Json) -> Json:
        """The classes in their order, the positive one last.

        Raises:
            DataError: fewer than two classes, or a class in the project file that has no row.
        """
        labels = set(target.drop_nulls().cast(pl.String).unique().to_list())
        labels = {label for label in labels if label.removesuffix(".") not in labels - {label}}
        if len(labels) < 2:
            raise DataError(
                "the target has fewer than two classes, so there is nothing to learn",
                detail=f"column {target.name!r}: {', '.join(labels) or 'no value'}",
                hint="choose another target, or give rows of every class",
            )
        classes = self.order_classes(sorted(labels), problem)
        cost_matrix(problem.get("costs") or {}, classes)  # says early what is wrong with it
        return {"classes": classes}

    def order_classes(self, labels: Sequence[str], problem: Json) -> list[str]:
        """The classes in their natural order, the positive one last.

        Raises:
            DataError: no row has the positive class.
        """
        positive = problem.get("positive")
        if positive is None:
            return sort_labels(labels)
        require_classes("problem.positive", [positive], labels)
        return [label for label in sort_labels(labels) if label != positive] + [positive]

    def encode(self, target: pl.Series, target_spec: Json) -> Array:
        """Class index of each row; a full stop after a label does not make another label of it.

        Raises:
            DataError: a label that is not among the classes.
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

    def fit_target_scale(self, y: Array) -> Json:
        """Nothing: class indexes are not scaled."""
        return {}

    def scale_target(self, y: Array, scale: Json) -> Array:
        """Class indexes as they are."""
        return y

    def unscale_outputs(self, outputs: Array, scale: Json) -> Array:
        """Probabilities as they are."""
        return outputs

    def target_indicator_matrix(self, y: Array, target_spec: Json) -> Array:
        """One column for each class but the first; none where classes are many."""
        n_classes = len(target_spec["classes"])
        if n_classes > MAX_TARGET_COLUMNS:
            return np.zeros((len(y), 0))
        return np.asarray(y[:, None] == np.arange(1, n_classes), dtype=np.float64)

    def n_outputs(self, target_spec: Json) -> int:
        """One output for each class."""
        return len(target_spec["classes"])

    def validation_loss(self, outputs: Array, y: Array, weights: Array | None = None) -> float:
        """Log loss after the best temperature: how well classes are told apart.

        Berta et al., *Rethinking Early Stopping: Refine, Then Calibrate*, 2025.
        """
        temperature = calibration.fit_temperature(outputs, y, weights, steps=12)
        calibrated = calibration.apply_temperature(outputs, temperature)
        losses = -np.log(np.clip(calibrated[np.arange(len(y)), y], MIN_PROBABILITY, 1))
        return float(np.average(losses, weights=weights))

    def calibrate(
        self, outputs: Array, y: Array, target_spec: Json, weights: Array | None = None
    ) -> Json:
        """The temperature that makes probabilities honest, and the limit for predicted sets."""
        temperature = calibration.fit_temperature(outputs, y, weights)
        calibrated = calibration.apply_temperature(outputs, temperature)
        set_threshold = conformal.class_set_threshold(
            calibrated, y, target_spec.get("coverage", DEFAULT_COVERAGE), weights
        )
        calibration_state: Json = {"temperature": temperature, "limit": set_threshold}
        if target_spec.get("reject"):
            confidence = calibrated.max(axis=1)
            calibration_state["surest"] = max(
                -conformal.conformal_quantile(-confidence, 1 - target_spec["reject"], weights), 0.0
            )
        return calibration_state

    def apply_calibration(self, outputs: Array, fitted: Json) -> Array:
        """Probabilities at the fitted temperature."""
        return calibration.apply_temperature(outputs, fitted["temperature"])

    def predictions_from_outputs(
        self, outputs: Array, target_spec: Json, fitted: Json
    ) -> Predictions:
        """The likeliest class of each row, or that of least cost, and the set around it."""
        costs = cost_matrix(target_spec.get("costs") or {}, target_spec["classes"])
        decisions = (
            thresholds.min_cost_decisions(outputs, np.asarray(costs))
            if costs
            else outputs.argmax(1)
        )
        regions = conformal.class_prediction_sets(outputs, fitted["limit"])
        min_confidence = fitted.get("surest")
        is_accepted = (
            None
            if min_confidence is None
            else outputs.max(1) >= min_confidence - conformal.PROBABILITY_TOLERANCE
        )
        return Predictions(
            outputs, decisions, regions, target_spec.get("coverage", DEFAULT_COVERAGE), is_accepted
        )

    def to_frame(self, predictions: Predictions, target_spec: Json) -> pl.DataFrame:
        """The decided class as ``prediction``, ``probability_<class>`` and ``prediction_set``.

        Where the project file lets some rows be rejected, ``accepted`` says of which the model is
        sure enough.
        """
        classes = target_spec["classes"]
        class_names = pl.Series("prediction", classes, dtype=pl.String)
        probability_columns = [
            pl.Series(f"probability_{label}", predictions.outputs[:, i].astype(np.float64))
            for i, label in enumerate(classes)
        ]
        prediction_sets = join_labels(predictions.regions, classes).rename("prediction_set")
        accepted_columns = (
            [] if predictions.accepted is None else [pl.Series("accepted", predictions.accepted)]
        )
        return pl.DataFrame(
            [
                class_names[predictions.decisions],
                *probability_columns,
                prediction_sets,
                *accepted_columns,
            ]
        )

    def diagnostics(self, y: Array, predictions: Predictions, target_spec: Json) -> Json:
        """Confusion table, per class figures, reliability of the likeliest class, worst rows."""
        top_class = predictions.outputs.argmax(axis=1)
        confidence = predictions.outputs.max(axis=1)
        return {
            **classification_tables(y, predictions, target_spec),
            "reliability": calibration.reliability_curve(confidence, top_class == y),
            "worst": largest_error_rows(-predictions.outputs[np.arange(len(y)), y]),
            "rejection": rejection_curve(y, predictions),
        }


def classification_tables(y: Array, predictions: Predictions, about: Json) -> Json:
    """Classes, confusion table, and per class figures."""
    matrix = confusion_matrix(y, predictions.decisions, len(about["classes"]))
    return {
        "classes": about["classes"],
        "confusion": matrix,
        "per_class": per_class_metrics(matrix, about["classes"]),
    }


def rejection_curve(y: Array, predictions: Predictions) -> list[Json]:
    """How often decisions are right once the least sure ones are left to a person.

    The reject option (Chow, *On Optimum Recognition Error and Reject Tradeoff*, 1970).
    """
    order = np.argsort(-predictions.outputs.max(axis=1), kind="stable")
    is_correct = (predictions.decisions == y)[order]
    points = []
    for fraction in REJECTED_FRACTIONS:
        answered = is_correct[: max(round(len(is_correct) * (1 - fraction)), 1)]
        points.append({"rejected": fraction, "right": float(answered.mean())})
    return points


def join_labels(selected: Array, labels: Sequence[str]) -> pl.Series:
    """The labels that are chosen in each row, joined by ``|``; chosen is (rows, labels)."""
    joined_by_key: dict[bytes, str] = {}
    keys = [row.tobytes() for row in np.packbits(selected.astype(bool), axis=1)]
    for key, row in zip(keys, selected, strict=True):
        if key not in joined_by_key:
            joined_by_key[key] = "|".join(compress(labels, row))
    return pl.Series([joined_by_key[key] for key in keys], dtype=pl.String)


def cost_matrix(
    costs: Mapping[str, Mapping[str, float]], classes: Sequence[str]
) -> list[list[float]] | None:
    """What each mistake costs as a table (true class, decided class); 1 where nothing is said.

    Raises:
        DataError: a class that has no row, or a cost below 0.
    """
    if not costs:
        return None
    require_classes(
        "problem.costs",
        [*costs, *(decided_class for row in costs.values() for decided_class in row)],
        classes,
    )
    negative_costs = [value for row in costs.values() for value in row.values() if value < 0]
    if negative_costs:
        raise DataError(
            "a cost is below 0",
            detail=f"problem.costs: {negative_costs[0]:g}",
            hint="give what each mistake costs more than a right decision",
        )
    return [
        [float(costs.get(true, {}).get(decided, float(true != decided))) for decided in classes]
        for true in classes
    ]


def require_classes(setting: str, labels: Sequence[str], classes: Sequence[str]) -> None:
    """Make sure that labels in the project file are classes of the target.

    Raises:
        DataError: one of them is not.
    """
    unknown_labels = [label for label in labels if label not in classes]
    if unknown_labels:
        raise DataError(
            f"no row has the class {unknown_labels[0]!r} that {setting} names",
            detail=f"classes: {', '.join(classes[:10])}",
            hint=f"set {setting} to classes of the target: {did_you_mean(unknown_labels[0], classes)}",
        )


def sort_labels(labels: Sequence[str]) -> list[str]:
    """Labels in the order a person expects: numbers by value, words by letter.

    >>> natural_order(["10", "9", "b", "a"])
    ['9', '10', 'a', 'b']
    """

    def key(label: str) -> tuple[int, float, str]:
        try:
            value = float(label)
        except ValueError:
            return (1, 0.0, label)
        # "nan" is a word here: as a number it would have no place in any order.
        return (0, value, label) if math.isfinite(value) else (1, 0.0, label)

    return sorted(labels, key=key)


def confusion_matrix(y: Array, decisions: Array, n_classes: int) -> list[list[int]]:
    """Counts by true class (rows) and decided class (columns)."""
    matrix = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(matrix, (y, decisions), 1)
    return [[int(count) for count in row] for row in matrix]


def per_class_metrics(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> list[Json]:
    """Rows, precision and recall of each class, from a confusion table."""
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
    """Positions of the rows with the largest loss, worst first."""
    return [int(i) for i in np.argsort(-loss, kind="stable")[:max_rows]]
