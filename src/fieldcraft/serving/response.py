"""Convert predictions to JSON: decision, probabilities, and prediction set or interval."""

from __future__ import annotations

from itertools import compress
from typing import Any

from fieldcraft.contracts import Task
from fieldcraft.core.types import Array, Json
from fieldcraft.statistics.metrics import Predictions


def to_json(task: Task, predictions: Predictions, target_spec: Json) -> list[Json]:
    """Return one answer per row, as a JSON object.

    Args:
        task: task of the model.
        predictions: predictions of the model.
        target_spec: target of the bundle.

    Returns:
        ``prediction`` and, for classes, ``probabilities`` by class and the conformal
        ``prediction_set``; for labels, ``probabilities`` by label; for numbers, the conformal
        ``interval``. Also ``confident``, if the model rejects uncertain decisions.
    """
    rows = FORMAT_BY_OUTPUT[task.output](predictions, target_spec)
    if predictions.accepted is not None:
        for answer, is_confident in zip(rows, predictions.accepted.tolist(), strict=True):
            answer["confident"] = is_confident
    return rows


def classes_to_json(predictions: Predictions, target_spec: Json) -> list[Json]:
    """Return the predicted class, the probability of each class, and the prediction set."""
    names = target_spec["classes"]
    return [
        {
            "prediction": names[decision],
            "probabilities": dict(zip(names, probabilities, strict=True)),
            "prediction_set": list(compress(names, in_prediction_set)),
        }
        for decision, probabilities, in_prediction_set in zip(
            predictions.decisions.tolist(),
            to_python_floats(predictions.outputs),
            predictions.regions.tolist(),
            strict=True,
        )
    ]


def labels_to_json(predictions: Predictions, target_spec: Json) -> list[Json]:
    """Return the labels that apply, and the probability of each label."""
    names = target_spec["labels"]
    return [
        {
            "prediction": list(compress(names, is_applied)),
            "probabilities": dict(zip(names, probabilities, strict=True)),
        }
        for is_applied, probabilities in zip(
            predictions.decisions.tolist(), to_python_floats(predictions.outputs), strict=True
        )
    ]


def values_to_json(predictions: Predictions, target_spec: Json) -> list[Json]:
    """Return the predicted number and its interval."""
    return [
        {"prediction": value, "interval": interval}
        for value, interval in zip(
            to_python_floats(predictions.decisions),
            to_python_floats(predictions.regions),
            strict=True,
        )
    ]


def to_python_floats(values: Array) -> list[Any]:
    """Convert numbers to Python floats, which `json` can serialize; nested lists for two axes."""
    numbers: list[Any] = values.astype(float).tolist()
    return numbers


FORMAT_BY_OUTPUT = {
    "probabilities": classes_to_json,
    "labels": labels_to_json,
    "value": values_to_json,
}
