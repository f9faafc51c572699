"""Predictions as JSON values: what was decided, how likely, and the set or interval around it."""

from __future__ import annotations

from itertools import compress
from typing import Any

from fieldcraft.contracts import Array, Json, Task
from fieldcraft.evidence.metrics import Said


def answers(task: Task, said: Said, about: Json) -> list[Json]:
    """One answer for each row.

    Args:
        task: what the target asks.
        said: what the model says of rows.
        about: the target, as the bundle has it.

    Returns:
        ``prediction`` and, for classes, ``probabilities`` by class and the ``prediction_set`` that
        holds the truth at the stated rate; for labels, those that apply and their
        ``probabilities``; for amounts the ``interval`` that holds it.
    """
    found = FORMS[task.output](said, about)
    if said.accepted is not None:
        for answer, sure in zip(found, said.accepted.tolist(), strict=True):
            answer["accepted"] = sure
    return found


def of_classes(said: Said, about: Json) -> list[Json]:
    """The decided class, the probability of each, and the set."""
    names = about["classes"]
    return [
        {
            "prediction": names[decided],
            "probabilities": dict(zip(names, chances, strict=True)),
            "prediction_set": list(compress(names, region)),
        }
        for decided, chances, region in zip(
            said.decisions.tolist(), plain(said.outputs), said.regions.tolist(), strict=True
        )
    ]


def of_labels(said: Said, about: Json) -> list[Json]:
    """The labels that apply, and the probability of each."""
    names = about["labels"]
    return [
        {
            "prediction": list(compress(names, applies)),
            "probabilities": dict(zip(names, chances, strict=True)),
        }
        for applies, chances in zip(said.decisions.tolist(), plain(said.outputs), strict=True)
    ]


def of_values(said: Said, about: Json) -> list[Json]:
    """The amount, and the interval."""
    return [
        {"prediction": value, "interval": region}
        for value, region in zip(plain(said.decisions), plain(said.regions), strict=True)
    ]


def plain(values: Array) -> list[Any]:
    """Numbers as Python's own."""
    found: list[Any] = values.astype(float).tolist()
    return found


FORMS = {"probabilities": of_classes, "labels": of_labels, "value": of_values}
