"""The one-rule baseline as a person would say it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fieldcraft.contracts import Json
from fieldcraft.core import catalogue, files
from fieldcraft.learners.rule.words import in_words


def rule_in_words(model: Path, task: str, about: Json) -> str:
    """What the rule of the first fold says, in units of the target.

    Args:
        model: the folder of the fitted baseline.
        task: name of the task.
        about: what the task says of the target.
    """
    first = model / "0"
    rule = files.read_json(first / "model.json")
    scale = files.read_json(first / "scale.json")
    unscaled = catalogue.load("tasks", task).unscaled
    bins = [
        {**found, "outputs": unscaled(np.array([found["outputs"]]), scale)[0].tolist()}
        for found in rule["bins"]
    ]
    return in_words({**rule, "bins": bins}, about, levels_of(first, rule["column"]))


def levels_of(member: Path, column: str) -> list[str]:
    """The levels of a category column as its encoder learned them; none of other columns."""
    state = files.read_json(member / "encoders.json")
    named = [c["name"] for c in state["schema"]["columns"] if c["kind"] == "category"]
    if column not in named:
        return []
    levels = state["encoders"]["category"]["levels"][named.index(column)]
    return ["(missing)" if "\0" in level else str(level) for level in levels]
