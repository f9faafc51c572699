"""Answers have the decision, probabilities, and the prediction set or interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.core import catalog
from fieldcraft.serving.response import to_json
from fieldcraft.statistics.metrics import Predictions

CLASSES = Predictions(
    outputs=np.array([[0.25, 0.625, 0.125], [0.5, 0.25, 0.25]], dtype=np.float32),
    decisions=np.array([2, 0]),  # costs may decide against the likeliest class
    regions=np.array([[False, True, True], [True, False, False]]),
    accepted=np.array([False, True]),
)
LABELS = Predictions(
    outputs=np.array([[0.75, 0.25], [0.25, 0.125]]), decisions=np.array([[1, 0], [0, 0]]),
    regions=np.zeros((2, 2, 2)),
)  # fmt: skip
VALUES = Predictions(
    outputs=np.array([[1.0], [2.0]]), decisions=np.array([1.5, 2.5]),
    regions=np.array([[1.0, 2.0], [2.0, 4.0]]),
)  # fmt: skip


@pytest.mark.parametrize(
    ("task", "predictions", "target_spec", "expected"),
    [
        (
            "multiclass", CLASSES, {"classes": ["a", "b", "c"]},
            [
                {"prediction": "c", "probabilities": {"a": 0.25, "b": 0.625, "c": 0.125},
                 "prediction_set": ["b", "c"], "confident": False},
                {"prediction": "a", "probabilities": {"a": 0.5, "b": 0.25, "c": 0.25},
                 "prediction_set": ["a"], "confident": True},
            ],
        ),
        (
            "multilabel", LABELS, {"labels": ["x", "y"]},
            [
                {"prediction": ["x"], "probabilities": {"x": 0.75, "y": 0.25}},
                {"prediction": [], "probabilities": {"x": 0.25, "y": 0.125}},
            ],
        ),
        (
            "regression", VALUES, {},
            [
                {"prediction": 1.5, "interval": [1.0, 2.0]},
                {"prediction": 2.5, "interval": [2.0, 4.0]},
            ],
        ),
    ],
)  # fmt: skip
def test_each_task_has_its_response_format(
    task: str, predictions: Predictions, target_spec: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    assert to_json(catalog.load_plugin("tasks", task), predictions, target_spec) == expected
