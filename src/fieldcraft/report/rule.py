"""The one-rule baseline as a person would say it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fieldcraft.core import catalog, files
from fieldcraft.core.types import Json
from fieldcraft.learners.rule.description import describe_rule


def describe_fitted_rule(model: Path, task: str, target_spec: Json) -> str:
    """What the rule of the first fold says, in units of the target.

    Args:
        model: the folder of the fitted baseline.
        task: name of the task.
        target_spec: what the task says of the target.
    """
    first_fold = model / "0"
    rule = files.read_json(first_fold / "model.json")
    scale = files.read_json(first_fold / "scale.json")
    unscale_outputs = catalog.load_plugin("tasks", task).unscale_outputs
    bins = [
        {**rule_bin, "outputs": unscale_outputs(np.array([rule_bin["outputs"]]), scale)[0].tolist()}
        for rule_bin in rule["bins"]
    ]
    return describe_rule(
        {**rule, "bins": bins}, target_spec, load_levels(first_fold, rule["column"])
    )


def load_levels(fold_model_folder: Path, column: str) -> list[str]:
    """The levels of a category column as its encoder learned them; none of other columns."""
    state = files.read_json(fold_model_folder / "encoders.json")
    category_columns = [
        column_entry["name"]
        for column_entry in state["schema"]["columns"]
        if column_entry["kind"] == "category"
    ]
    if column not in category_columns:
        return []
    levels = state["encoders"]["category"]["levels"][category_columns.index(column)]
    return ["(missing)" if "\0" in level else str(level) for level in levels]
