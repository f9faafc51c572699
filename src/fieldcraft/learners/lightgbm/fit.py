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

from fieldcraft.contracts import Encoded, InputFormat, Matrix, Output, State, TrainingJob
from fieldcraft.core.types import Array

TIMED_ROUNDS = 3
MAX_TIME_RATIO = 0.85  # fewer threads must take less than this share of the time
ROUNDS_PER_PROGRESS_UPDATE = 25  # between two words of progress
MAX_ROUNDS_RANGE = (2, 2_000)  # at most, unless the options say otherwise: fewest and most
MAX_TREES = 20_000  # of all classes or labels together, unless that leaves too few rounds
MAX_ROWS_TIMES_CLASSES = (
    100_000_000  # training rows times classes; beyond it, memory allows some rows only
)
LARGE_STEP_ABOVE_CLASSES = 50
MAX_COLUMNS_PER_TREE = 100  # that a tree looks at
COLUMN_WISE_ABOVE_COLUMNS = 1_000  # above which histograms are faster column by column


class LightgbmModel:
    """LightGBM's trees, kept as LightGBM's own text: one model, or one for each label."""

    input_format: InputFormat = "matrix"

    def __init__(self, model_texts: Sequence[str], n_columns: int, output: Output) -> None:
        """Keep the texts of the models and load them."""
        self.model_texts, self.n_columns, self.output = list(model_texts), n_columns, output
        self.boosters = [lightgbm.Booster(model_str=text) for text in self.model_texts]

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of classes or labels, or values."""
        values = rows.matrix().values
        predictions = [np.asarray(booster.predict(values)) for booster in self.boosters]
        if self.output == "labels":
            outputs = np.stack(predictions, axis=1)
        elif self.output == "probabilities" and predictions[0].ndim == 1:
            outputs = np.stack([1 - predictions[0], predictions[0]], axis=1)
        else:
            outputs = predictions[0].reshape(len(values), -1)
        return outputs.astype(np.float32)

    def state(self) -> State:
        """The texts of the models."""
        return State({"models": self.model_texts, "columns": self.n_columns})

    def to_onnx(self) -> bytes:
        """The trees as an ONNX tree ensemble."""
        from fieldcraft.learners.lightgbm.export import build_trees_onnx

        return build_trees_onnx(self.boosters, self.n_columns, self.output)


def fit_lightgbm(job: TrainingJob) -> LightgbmModel:
    """Grow trees with early stopping on tune rows: one model, or one for each label."""
    train, validation, row_indices = (
        job.train.matrix(),
        job.validation.matrix(),
        select_rows_for_memory(job),
    )
    is_multilabel = job.task.output == "labels"
    train_ys, validation_ys = (
        y.T if is_multilabel else [y] for y in (job.train_y[row_indices], job.validation_y)
    )
    weights = (
        None if job.weights is None else job.weights[row_indices] / job.weights[row_indices].mean()
    )
    train = replace(train, values=train.values[row_indices])
    start = time.monotonic()
    model_texts = []
    for label_index, (train_y, validation_y) in enumerate(
        zip(train_ys, validation_ys, strict=True)
    ):
        elapsed = time.monotonic() - start
        time_budget = (
            None if job.budget is None else (job.budget - elapsed) / (len(train_ys) - label_index)
        )
        early_stopping = EarlyStoppingCallback(
            job,
            f"label {label_index + 1} of {len(train_ys)}, " if is_multilabel else "",
            time_budget,
        )
        model_texts.append(
            train_booster(
                job,
                early_stopping,
                build_dataset_arguments(train, train_y, weights),
                build_dataset_arguments(validation, validation_y, job.validation_weights),
            )
        )
    return LightgbmModel(model_texts, train.values.shape[1], job.task.output)


def select_rows_for_memory(job: TrainingJob) -> Array | slice:
    """Training rows that memory allows: all, or some by lot where there are very many classes."""
    n_rows, n_outputs = len(job.train_y), job.task.n_outputs(job.target_spec)
    max_rows = MAX_ROWS_TIMES_CLASSES // (n_outputs if job.task.output == "probabilities" else 1)
    if n_rows <= max_rows:
        return slice(None)
    return np.asarray(np.sort(np.random.default_rng(job.seed).permutation(n_rows)[:max_rows]))


def build_dataset_arguments(
    matrix: Matrix, y: Array, weights: Array | None = None
) -> dict[str, Any]:
    """What LightGBM makes a data set of."""
    categorical = [column for column, levels in enumerate(matrix.levels) if levels]
    return {
        "data": matrix.values,
        "label": y,
        "weight": weights,
        "categorical_feature": categorical,
    }


def train_booster(
    job: TrainingJob,
    early_stopping: EarlyStoppingCallback,
    train: dict[str, Any],
    validation: dict[str, Any],
) -> str:
    """The text of one model, with as many trees as were best on tune rows."""
    options, n_columns = job.options, train["data"].shape[1]
    params = {
        **build_objective_params(job),
        "learning_rate": options.learning_rate or choose_learning_rate(job),
        "num_leaves": options.leaves,
        "bagging_fraction": options.subsample,
        "bagging_freq": 1,
        "feature_fraction": options.columns or min(1.0, MAX_COLUMNS_PER_TREE / max(n_columns, 1)),
        "seed": job.seed,
        "deterministic": True,
        "force_row_wise": n_columns <= COLUMN_WISE_ABOVE_COLUMNS,
        "force_col_wise": n_columns > COLUMN_WISE_ABOVE_COLUMNS,
        "verbosity": -1,
    }
    dataset = lightgbm.Dataset(**train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of its own parameter aliases
        threads = choose_thread_count(params, dataset)
        booster = lightgbm.train(
            {**params, "num_threads": threads},
            dataset,
            num_boost_round=choose_max_rounds(job),
            valid_sets=[lightgbm.Dataset(**validation, reference=dataset)],
            callbacks=[early_stopping],
        )
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    # The trees do not depend on the threads that grew them, so the model must not name them.
    return str(text.replace(f"[num_threads: {threads}]", "[num_threads: 0]"))


def choose_thread_count(params: dict[str, Any], dataset: lightgbm.Dataset) -> int:
    """How many threads grow the first trees fastest: as many as there are cores, or fewer.

    While another program keeps a core busy, threads that wait for each other take many times
    longer than one alone.
    """
    threads = count_cores()
    best_seconds = time_boosting_round(params, dataset, threads)
    while threads > 1:
        seconds = time_boosting_round(params, dataset, threads // 2)
        if seconds > MAX_TIME_RATIO * best_seconds:
            break
        threads, best_seconds = threads // 2, seconds
    return threads


def count_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def time_boosting_round(params: dict[str, Any], dataset: lightgbm.Dataset, threads: int) -> float:
    """Seconds that a round takes, the first one not counted."""
    end_times: list[float] = []
    lightgbm.train(
        {**params, "num_threads": threads},
        dataset,
        num_boost_round=TIMED_ROUNDS + 1,
        callbacks=[lambda state: end_times.append(time.perf_counter())],
    )
    return float(np.median(np.diff(end_times)))


def build_objective_params(job: TrainingJob) -> dict[str, Any]:
    """LightGBM's name for what is asked of one model."""
    n_outputs = job.task.n_outputs(job.target_spec)
    if job.task.output == "value":
        return {"objective": "regression"}
    if job.task.output == "labels" or n_outputs == 2:
        return {"objective": "binary"}
    return {"objective": "multiclass", "num_class": n_outputs}


def choose_learning_rate(job: TrainingJob) -> float:
    """The shrinkage of each tree: larger where a round takes very many."""
    has_many_classes = (
        job.task.output == "probabilities"
        and job.task.n_outputs(job.target_spec) > LARGE_STEP_ABOVE_CLASSES
    )
    return 0.1 if has_many_classes else 0.05


def choose_max_rounds(job: TrainingJob) -> int:
    """Boosting rounds at most."""
    if job.options.n_estimators is not None:
        return int(job.options.n_estimators)
    return int(np.clip(MAX_TREES // job.task.n_outputs(job.target_spec), *MAX_ROUNDS_RANGE))


@dataclass(eq=False)  # LightGBM keeps its callbacks in a set
class EarlyStoppingCallback:
    """Follows the tune loss from round to round: tells the progress and says when to stop."""

    job: TrainingJob
    prefix: str
    budget: float | None
    start: float = field(default_factory=time.monotonic)
    validation_losses: list[float] = field(default_factory=list)

    def __call__(self, state: Any) -> None:
        """Called by LightGBM after each round.

        Raises:
            EarlyStopException: to keep the trees up to the best round.
        """
        self.validation_losses.append(state.evaluation_result_list[0][2])
        if state.iteration % ROUNDS_PER_PROGRESS_UPDATE == 0:
            self.job.on_progress(f"{self.prefix}tree {state.iteration:,}", None)
        best_iteration = int(np.argmin(self.validation_losses))
        is_over_budget = self.budget is not None and time.monotonic() - self.start > self.budget
        is_out_of_patience = state.iteration - best_iteration >= self.job.options.patience
        if is_over_budget or is_out_of_patience or state.iteration + 1 == state.end_iteration:
            raise lightgbm.callback.EarlyStopException(best_iteration, state.evaluation_result_list)
