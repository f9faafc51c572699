"""Fit, run and export boosted trees."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import lightgbm
import numpy as np

from fieldcraft.contracts import Array, Encoded, Form, Job, Matrix, Output, State

ROUNDS_TIMED = 3
WORTH = 0.85  # fewer threads must take less than this share of the time
ROUNDS_A_WORD = 25  # between two words of progress
ROUNDS = (2, 2_000)  # at most, unless the options say otherwise: fewest and most
MOST_TREES = 20_000  # of all classes or labels together, unless that leaves too few rounds
MOST_CELLS = 100_000_000  # training rows times classes; beyond it, memory allows some rows only
MANY_CLASSES = 50
COLUMNS = 100  # that a tree looks at
MANY_COLUMNS = 1_000  # above which histograms are faster column by column


class TreesModel:
    """LightGBM's trees, kept as LightGBM's own text: one model, or one for each label."""

    view: Form = "matrix"

    def __init__(self, texts: Sequence[str], columns: int, output: Output) -> None:
        """Keep the texts of the models and load them."""
        self.texts, self.columns, self.output = list(texts), columns, output
        self.boosters = [lightgbm.Booster(model_str=text) for text in self.texts]

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of classes or labels, or values."""
        values = rows.matrix().values
        found = [np.asarray(booster.predict(values)) for booster in self.boosters]
        if self.output == "labels":
            outputs = np.stack(found, axis=1)
        elif self.output == "probabilities" and found[0].ndim == 1:
            outputs = np.stack([1 - found[0], found[0]], axis=1)
        else:
            outputs = found[0].reshape(len(values), -1)
        return outputs.astype(np.float32)

    def state(self) -> State:
        """The texts of the models."""
        return State({"models": self.texts, "columns": self.columns})

    def onnx(self) -> bytes:
        """The trees as an ONNX tree ensemble."""
        from fieldcraft.learners.lightgbm.export import trees_onnx

        return trees_onnx(self.boosters, self.columns, self.output)


def fit_trees(job: Job) -> TreesModel:
    """Grow trees with early stopping on tune rows: one model, or one for each label."""
    train, tune, kept = job.train.matrix(), job.tune.matrix(), kept_rows(job)
    many = job.task.output == "labels"
    train_ys, tune_ys = (y.T if many else [y] for y in (job.train_y[kept], job.tune_y))
    weights = None if job.weights is None else job.weights[kept] / job.weights[kept].mean()
    train = replace(train, values=train.values[kept])
    start = time.monotonic()
    texts = []
    for number, (train_y, tune_y) in enumerate(zip(train_ys, tune_ys, strict=True)):
        spent = time.monotonic() - start
        share = None if job.budget is None else (job.budget - spent) / (len(train_ys) - number)
        watch = Watch(job, f"label {number + 1} of {len(train_ys)}, " if many else "", share)
        texts.append(
            grow(
                job,
                watch,
                rows_of(train, train_y, weights),
                rows_of(tune, tune_y, job.tune_weights),
            )
        )
    return TreesModel(texts, train.values.shape[1], job.task.output)


def kept_rows(job: Job) -> Array | slice:
    """Training rows that memory allows: all, or some by lot where there are very many classes."""
    rows, width = len(job.train_y), job.task.width(job.about)
    most = MOST_CELLS // (width if job.task.output == "probabilities" else 1)
    if rows <= most:
        return slice(None)
    return np.asarray(np.sort(np.random.default_rng(job.seed).permutation(rows)[:most]))


def rows_of(matrix: Matrix, y: Array, weights: Array | None = None) -> dict[str, Any]:
    """What LightGBM makes a data set of."""
    categorical = [column for column, levels in enumerate(matrix.levels) if levels]
    return {
        "data": matrix.values,
        "label": y,
        "weight": weights,
        "categorical_feature": categorical,
    }


def grow(job: Job, watch: Watch, train: dict[str, Any], tune: dict[str, Any]) -> str:
    """The text of one model, with as many trees as were best on tune rows."""
    options, columns = job.options, train["data"].shape[1]
    settings = {
        **objective(job),
        "learning_rate": options.learning_rate or step_size(job),
        "num_leaves": options.leaves,
        "bagging_fraction": options.subsample,
        "bagging_freq": 1,
        "feature_fraction": options.columns or min(1.0, COLUMNS / max(columns, 1)),
        "seed": job.seed,
        "deterministic": True,
        "force_row_wise": columns <= MANY_COLUMNS,
        "force_col_wise": columns > MANY_COLUMNS,
        "verbosity": -1,
    }
    rows = lightgbm.Dataset(**train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of its own parameter aliases
        threads = fastest_threads(settings, rows)
        booster = lightgbm.train(
            {**settings, "num_threads": threads},
            rows,
            num_boost_round=rounds(job),
            valid_sets=[lightgbm.Dataset(**tune, reference=rows)],
            callbacks=[watch],
        )
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    # The trees do not depend on the threads that grew them, so the model must not name them.
    return str(text.replace(f"[num_threads: {threads}]", "[num_threads: 0]"))


def fastest_threads(settings: dict[str, Any], rows: lightgbm.Dataset) -> int:
    """How many threads grow the first trees fastest: as many as there are cores, or fewer.

    While another program keeps a core busy, threads that wait for each other take many times
    longer than one alone.
    """
    threads = cores()
    shortest = seconds_a_round(settings, rows, threads)
    while threads > 1:
        seconds = seconds_a_round(settings, rows, threads // 2)
        if seconds > WORTH * shortest:
            break
        threads, shortest = threads // 2, seconds
    return threads


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def seconds_a_round(settings: dict[str, Any], rows: lightgbm.Dataset, threads: int) -> float:
    """Seconds that a round takes, the first one not counted."""
    ends: list[float] = []
    lightgbm.train(
        {**settings, "num_threads": threads},
        rows,
        num_boost_round=ROUNDS_TIMED + 1,
        callbacks=[lambda state: ends.append(time.perf_counter())],
    )
    return float(np.median(np.diff(ends)))


def objective(job: Job) -> dict[str, Any]:
    """LightGBM's name for what is asked of one model."""
    width = job.task.width(job.about)
    if job.task.output == "value":
        return {"objective": "regression"}
    if job.task.output == "labels" or width == 2:
        return {"objective": "binary"}
    return {"objective": "multiclass", "num_class": width}


def step_size(job: Job) -> float:
    """The shrinkage of each tree: larger where a round takes very many."""
    many = job.task.output == "probabilities" and job.task.width(job.about) > MANY_CLASSES
    return 0.1 if many else 0.05


def rounds(job: Job) -> int:
    """Boosting rounds at most."""
    if job.options.trees is not None:
        return int(job.options.trees)
    return int(np.clip(MOST_TREES // job.task.width(job.about), *ROUNDS))


@dataclass(eq=False)  # LightGBM keeps its callbacks in a set
class Watch:
    """Follows the tune loss from round to round: tells the progress and says when to stop."""

    job: Job
    prefix: str
    budget: float | None
    start: float = field(default_factory=time.monotonic)
    losses: list[float] = field(default_factory=list)

    def __call__(self, state: Any) -> None:
        """Called by LightGBM after each round.

        Raises:
            EarlyStopException: to keep the trees up to the best round.
        """
        self.losses.append(state.evaluation_result_list[0][2])
        if state.iteration % ROUNDS_A_WORD == 0:
            self.job.progress(f"{self.prefix}tree {state.iteration:,}", None)
        best = int(np.argmin(self.losses))
        late = self.budget is not None and time.monotonic() - self.start > self.budget
        tired = state.iteration - best >= self.job.options.patience
        if late or tired or state.iteration + 1 == state.end_iteration:
            raise lightgbm.callback.EarlyStopException(best, state.evaluation_result_list)
