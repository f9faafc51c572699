"""Fit boosted trees, predict with them and export them."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import lightgbm
import numpy as np

from fieldcraft.contracts import Encoded, InputFormat, Matrix, Output, State, TrainingJob
from fieldcraft.core.parallel import available_cpus
from fieldcraft.core.types import Array

TIMED_ROUNDS = 3  # boosting rounds that are timed for each number of threads
MAX_TIME_RATIO = 0.85  # half the threads are chosen if they take at most this fraction of the time
ROUNDS_PER_PROGRESS_UPDATE = 25
MAX_ROUNDS_RANGE = (2, 2_000)  # bounds of the default maximum number of rounds
MAX_TREES = 20_000  # of all classes or labels together, unless that leaves too few rounds
# LightGBM keeps gradients and scores of every row for every class. Above this product the training
# rows are sampled, so that they fit into memory.
MAX_ROWS_TIMES_CLASSES = 100_000_000
HIGH_LEARNING_RATE_ABOVE_CLASSES = 50
MAX_COLUMNS_PER_TREE = 100
COLUMN_WISE_ABOVE_COLUMNS = 1_000  # above this, histograms are faster column by column


class LightgbmModel:
    """LightGBM models, kept in LightGBM's text format: one, or one per label."""

    input_format: InputFormat = "matrix"

    def __init__(self, model_texts: Sequence[str], n_columns: int, output: Output) -> None:
        """Load the models from their texts."""
        self.model_texts, self.n_columns, self.output = list(model_texts), n_columns, output
        self.boosters = [lightgbm.Booster(model_str=text) for text in self.model_texts]

    def outputs(self, rows: Encoded) -> Array:
        """Probabilities of classes or labels, or values, shape (rows, n_outputs)."""
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
        """The texts of the models, and the number of columns."""
        return State({"models": self.model_texts, "columns": self.n_columns})

    def to_onnx(self) -> bytes:
        """The trees as an ONNX tree ensemble."""
        from fieldcraft.learners.lightgbm.export import build_trees_onnx

        return build_trees_onnx(self.boosters, self.n_columns, self.output)


def fit_lightgbm(job: TrainingJob) -> LightgbmModel:
    """Grow trees with early stopping on the validation rows: one model, or one per label."""
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
        # Time that earlier labels left unused goes to the later ones.
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
    """Indices of the training rows that fit into memory: all, or a random sample."""
    n_rows, n_outputs = len(job.train_y), job.task.n_outputs(job.target_spec)
    max_rows = MAX_ROWS_TIMES_CLASSES // (n_outputs if job.task.output == "probabilities" else 1)
    if n_rows <= max_rows:
        return slice(None)
    return np.asarray(np.sort(np.random.default_rng(job.seed).permutation(n_rows)[:max_rows]))


def build_dataset_arguments(
    matrix: Matrix, y: Array, weights: Array | None = None
) -> dict[str, Any]:
    """Arguments of `lightgbm.Dataset`; columns with levels are categorical.

    Missing values stay NaN: LightGBM learns for each split which branch they take.
    """
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
    """Train one model and return its text, cut to the best number of trees."""
    options, n_columns = job.options, train["data"].shape[1]
    params = {
        **build_objective_params(job),
        "learning_rate": options.learning_rate or choose_learning_rate(job),
        "num_leaves": options.num_leaves,
        "bagging_fraction": options.subsample,
        "bagging_freq": 1,
        "feature_fraction": options.colsample_bytree
        or min(1.0, MAX_COLUMNS_PER_TREE / max(n_columns, 1)),
        "seed": job.seed,
        # Deterministic trees also need a fixed histogram layout. LightGBM would time both layouts,
        # and sums in another order round differently.
        "deterministic": True,
        "force_row_wise": n_columns <= COLUMN_WISE_ABOVE_COLUMNS,
        "force_col_wise": n_columns > COLUMN_WISE_ABOVE_COLUMNS,
        "verbosity": -1,
    }
    dataset = lightgbm.Dataset(**train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # LightGBM's, about its parameter aliases
        threads = job.threads or choose_thread_count(params, dataset)
        booster = lightgbm.train(
            {**params, "num_threads": threads},
            dataset,
            num_boost_round=choose_max_rounds(job),
            valid_sets=[lightgbm.Dataset(**validation, reference=dataset)],
            callbacks=[early_stopping],
        )
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    # The trees do not depend on the number of threads, so the saved model must not contain it:
    # otherwise the same training on another machine would give another digest.
    return str(text.replace(f"[num_threads: {threads}]", "[num_threads: 0]"))


def choose_thread_count(params: dict[str, Any], dataset: lightgbm.Dataset) -> int:
    """Time the first trees and return the fastest number of threads, at most one per core.

    While another program keeps a core busy, threads that wait for each other at every split can be
    many times slower than a single one (docs/log.md).
    """
    threads = available_cpus()
    best_seconds = time_boosting_round(params, dataset, threads)
    while threads > 1:
        seconds = time_boosting_round(params, dataset, threads // 2)
        if seconds > MAX_TIME_RATIO * best_seconds:
            break
        threads, best_seconds = threads // 2, seconds
    return threads


def time_boosting_round(params: dict[str, Any], dataset: lightgbm.Dataset, threads: int) -> float:
    """Median seconds per boosting round, except the first one, which also builds the bins."""
    end_times: list[float] = []
    lightgbm.train(
        {**params, "num_threads": threads},
        dataset,
        num_boost_round=TIMED_ROUNDS + 1,
        callbacks=[lambda state: end_times.append(time.perf_counter())],
    )
    return float(np.median(np.diff(end_times)))


def build_objective_params(job: TrainingJob) -> dict[str, Any]:
    """LightGBM parameters of the objective for the task."""
    n_outputs = job.task.n_outputs(job.target_spec)
    if job.task.output == "value":
        return {"objective": "regression"}
    if job.task.output == "labels" or n_outputs == 2:
        return {"objective": "binary"}
    return {"objective": "multiclass", "num_class": n_outputs}


def choose_learning_rate(job: TrainingJob) -> float:
    """The default learning rate: larger with many classes, where each round grows many trees."""
    has_many_classes = (
        job.task.output == "probabilities"
        and job.task.n_outputs(job.target_spec) > HIGH_LEARNING_RATE_ABOVE_CLASSES
    )
    return 0.1 if has_many_classes else 0.05


def choose_max_rounds(job: TrainingJob) -> int:
    """The maximum number of boosting rounds."""
    if job.options.n_estimators is not None:
        return int(job.options.n_estimators)
    return int(np.clip(MAX_TREES // job.task.n_outputs(job.target_spec), *MAX_ROUNDS_RANGE))


@dataclass(eq=False)  # LightGBM keeps its callbacks in a set
class EarlyStoppingCallback:
    """Stops on validation loss or time budget, and reports progress.

    LightGBM's own callback has no time budget.
    """

    job: TrainingJob
    prefix: str
    budget: float | None
    start: float = field(default_factory=time.monotonic)
    validation_losses: list[float] = field(default_factory=list)

    def __call__(self, state: Any) -> None:
        """Record the validation loss of a round.

        Raises:
            EarlyStopException: training ends; LightGBM keeps the trees up to the best round.
        """
        self.validation_losses.append(state.evaluation_result_list[0][2])
        best_iteration = int(np.argmin(self.validation_losses))
        is_stopped = False
        if state.iteration % ROUNDS_PER_PROGRESS_UPDATE == 0:
            self.job.callbacks.on_progress(f"{self.prefix}tree {state.iteration:,}", None)
            metrics = {
                "validation_loss": self.validation_losses[-1],
                "best_validation_loss": self.validation_losses[best_iteration],
            }
            is_stopped = self.job.callbacks.on_epoch_end(state.iteration + 1, metrics)
        # Raised in the last round too: LightGBM takes the best iteration from the exception.
        is_over_budget = self.budget is not None and time.monotonic() - self.start > self.budget
        is_out_of_patience = state.iteration - best_iteration >= self.job.options.patience
        is_last = is_stopped or state.iteration + 1 == state.end_iteration
        if is_over_budget or is_out_of_patience or is_last:
            raise lightgbm.callback.EarlyStopException(best_iteration, state.evaluation_result_list)
