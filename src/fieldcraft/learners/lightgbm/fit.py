"""Fit, run and export boosted trees."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np

from fieldcraft.contracts import Array, Encoded, Form, Job, State

ROUNDS_A_WORD = 25  # between two words of progress


class TreesModel:
    """LightGBM's trees, kept as LightGBM's own text."""

    view: Form = "matrix"

    def __init__(self, text: str, columns: int, probabilities: bool) -> None:
        """Keep the model's text and load it."""
        self.text, self.columns, self.probabilities = text, columns, probabilities
        self.booster = lightgbm.Booster(model_str=text)

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of the classes, or values."""
        found = np.asarray(self.booster.predict(rows.matrix().values))
        if found.ndim == 1 and self.probabilities:
            found = np.stack([1 - found, found], axis=1)
        return found.reshape(len(found), -1).astype(np.float32)

    def state(self) -> State:
        """The text of the model."""
        return State({"model": self.text, "columns": self.columns})

    def onnx(self) -> bytes:
        """The trees as an ONNX tree ensemble."""
        from fieldcraft.learners.lightgbm.export import trees_onnx

        return trees_onnx(self.booster, self.columns)


def fit_trees(job: Job) -> TreesModel:
    """Grow trees with early stopping on tune rows."""
    train, tune = job.train.matrix(), job.tune.matrix()
    probabilities = job.task.output == "probabilities"
    width = job.task.width(job.about)
    categorical = [i for i, levels in enumerate(train.levels) if levels]
    rows = lightgbm.Dataset(
        train.values, job.train_y, categorical_feature=categorical, free_raw_data=False
    )
    held = lightgbm.Dataset(tune.values, job.tune_y, reference=rows, free_raw_data=False)
    options = job.options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of its own parameter aliases
        booster = lightgbm.train(
            {
                **objective(probabilities, width),
                "learning_rate": options.learning_rate,
                "num_leaves": options.leaves,
                "seed": job.seed,
                "deterministic": True,
                "force_row_wise": True,
                "verbosity": -1,
            },
            rows,
            num_boost_round=options.trees,
            valid_sets=[held],
            callbacks=[lightgbm.early_stopping(options.patience, verbose=False), watch(job)],
        )
    text = booster.model_to_string(num_iteration=booster.best_iteration or None)
    return TreesModel(short_thresholds(text), train.values.shape[1], probabilities)


def short_thresholds(text: str) -> str:
    """A model's text with each threshold as the largest 32-bit float that is not above it.

    Rows are of 32-bit floats, so no decision changes; ONNX, which would round to the nearest,
    then decides alike even where neighbouring floats are told apart (as in large whole numbers).
    """

    def floor(number: str) -> str:
        short = np.float32(number)
        above = float(short) > float(number)
        return repr(float(np.nextafter(short, np.float32(-np.inf)) if above else short))

    def line(found: re.Match[str]) -> str:
        return "threshold=" + " ".join(map(floor, found[1].split()))

    # Without the sizes of the trees, which no longer hold, LightGBM reads them one by one.
    text = re.sub(r"(?m)^tree_sizes=.*\n", "", text)
    return re.sub(r"(?m)^threshold=(.+)$", line, text)


def objective(probabilities: bool, width: int) -> dict[str, Any]:
    """LightGBM's name for the task."""
    if not probabilities:
        return {"objective": "regression"}
    if width == 2:
        return {"objective": "binary"}
    return {"objective": "multiclass", "num_class": width}


def watch(job: Job) -> Callable[[Any], None]:
    """A callback that tells the progress and keeps to the time budget."""
    start = time.monotonic()

    def tell(state: Any) -> None:
        if state.iteration % ROUNDS_A_WORD == 0:
            job.progress(f"tree {state.iteration:,}", None)
        if job.budget is not None and time.monotonic() - start > job.budget:
            raise lightgbm.callback.EarlyStopException(
                state.iteration, state.evaluation_result_list
            )

    return tell
