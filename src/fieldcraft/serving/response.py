"""Predictions as JSON values: what was decided, how likely, and the set or interval around it."""

from __future__ import annotations

from itertools import compress
from typing import Any

from fieldcraft.contracts import Task
from fieldcraft.core.types import Array, Json
from fieldcraft.statistics.metrics import Predictions


def to_json(task: Task, predictions: Predictions, target_spec: Json) -> list[Json]:
    """One answer for each row.

    Args:
        task: what the target asks.
        predictions: what the model says of rows.
        target_spec: the target, as the bundle has it.

    Returns:
        ``prediction`` and, for classes, ``probabilities`` by class and the ``prediction_set`` that
        holds the truth at the stated rate; for labels, those that apply and their
        ``probabilities``; for amounts the ``interval`` that holds it.
    """
    rows = FORMAT_BY_OUTPUT[task.output](predictions, target_spec)
    if predictions.accepted is not None:
        for answer, is_confident in zip(rows, predictions.accepted.tolist(), strict=True):
            answer["accepted"] = is_confident
    return rows


def classes_to_json(predictions: Predictions, target_spec: Json) -> list[Json]:
    """The decided class, the probability of each, and the set."""
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
    """The labels that apply, and the probability of each."""
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
    """The amount, and the interval."""
    return [
        {"prediction": value, "interval": interval}
        for value, interval in zip(
            to_python_floats(predictions.decisions),
            to_python_floats(predictions.regions),
            strict=True,
        )
    ]


def to_python_floats(values: Array) -> list[Any]:
    """Numbers as Python's own."""
    numbers: list[Any] = values.astype(float).tolist()
    return numbers


FORMAT_BY_OUTPUT = {
    "probabilities": classes_to_json,
    "labels": labels_to_json,
    "value": values_to_json,
}
