"""Fit, save and load the fold models of a model: a learner fitted on each fold, with its encoders.

Folder of a model::

    model.json             learner, its options, n_members, fit_seconds; columns if not all
    predictions.parquet    outputs on validation and evaluation rows:
                           position, fold, part, output_0, output_1, ...
    <fold>/encoders.*      fitted encoders
    <fold>/model.*         fitted model
    <fold>/scale.json      scale of the target
    <fold>/done.json       written last: the fold is complete
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.encoder_set import EncoderSet, load_state, save_state
from fieldcraft.contracts import Encoded, FittedModel, Learner, ModelSpec, Task, TrainingJob
from fieldcraft.core import catalog, files, seeds
from fieldcraft.core.callbacks import JobCallbacks
from fieldcraft.core.executor import Executor, Job
from fieldcraft.core.parallel import available_cpus
from fieldcraft.core.types import Array, Json
from fieldcraft.data.pretrained_weights import use_base_folder
from fieldcraft.data.splitting import Fold
from fieldcraft.modeling.dataset import ModelingDataset, load_dataset, select_columns
from fieldcraft.project.context import StageContext
from fieldcraft.project.settings import ProjectSettings

CHECKPOINT_FOLDER = "checkpoints"
PROCESS_BYTES = 800_000_000  # libraries of a process that trains a network: 500 to 700 MB measured
FIT_BYTES_PER_TABLE_BYTE = 8  # encoded rows of a fold, several times as wide as their cells


@dataclass(frozen=True)
class FoldModel:
    """A fitted model with the encoders and the target scale of its fold."""

    encoders: EncoderSet
    fitted: FittedModel
    target_scale: Json
    task: Task

    def outputs(self, values: pl.DataFrame) -> Array:
        """Outputs for parsed rows in units of the target, (n, n_outputs)."""
        batch_outputs = [
            self.fitted.outputs(self.encoders.transform(self.encoders.precompute(batch)))
            for batch in self.encoders.iter_batches(values)
        ]
        return self.task.unscale_outputs(np.concatenate(batch_outputs), self.target_scale)


@dataclass(frozen=True)
class FitSpec:
    """A fit of one fold as paths and values, so that it can be pickled and sent to a process.

    Attributes:
        learner: name of the learner.
        options: its options, as JSON.
        fold: number of the fold.
        folder: folder of the fold model.
        columns: names of the feature columns; None for all.
        seed: random seed of the fit.
        budget_seconds: time budget of the fit.
        device: device to train on.
        threads: CPU threads; None for the number that is fastest.
    """

    learner: str
    options: Json
    fold: int
    folder: Path
    columns: tuple[str, ...] | None = None
    seed: int = 0
    budget_seconds: float | None = None
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class DatasetSource:
    """Where a process finds the dataset of a fit.

    Attributes:
        split_folder: folder of the split.
        settings: the project file.
        base_folder: folder that relative paths of encoders start at.
    """

    split_folder: Path
    settings: ProjectSettings
    base_folder: Path


def make_dataset_source(context: StageContext) -> DatasetSource:
    """The dataset of a stage that depends on the split."""
    return DatasetSource(context.inputs["split"], context.settings, context.project.root)


class FoldFitter:
    """Fits specifications on one dataset, which each process loads once."""

    def __init__(
        self, dataset: ModelingDataset | None = None, source: DatasetSource | None = None
    ) -> None:
        """Use a dataset of this process, or the one that a source names."""
        self.source = source
        self.datasets: dict[tuple[str, ...] | None, ModelingDataset] = {}
        if dataset is not None:
            self.datasets[None] = dataset

    def __getstate__(self) -> Json:
        # Another process loads the dataset itself: that is faster than to send it, encoded rows
        # included, and works on another machine.
        return {"source": self.source, "datasets": {}}

    def dataset(self, columns: tuple[str, ...] | None = None) -> ModelingDataset:
        """The dataset with some of its columns, or with all of them."""
        if columns not in self.datasets:
            if columns is not None:
                self.datasets[columns] = select_columns(self.dataset(), columns)
            else:
                assert self.source is not None
                self.datasets[None] = load_dataset(self.source.split_folder, self.source.settings)
        return self.datasets[columns]

    def __call__(self, spec: FitSpec, callbacks: JobCallbacks) -> None:
        """Fit one fold and save the fold model; an interrupted fit resumes from its checkpoint."""
        from threadpoolctl import threadpool_limits  # not installed where models only predict

        base_folder = use_base_folder(self.source.base_folder) if self.source else nullcontext()
        with base_folder, threadpool_limits(spec.threads):
            dataset = self.dataset(spec.columns)
            fold = dataset.folds[spec.fold]
            learner: Learner = catalog.load_plugin("learners", spec.learner)
            # Encoding is cached and shared by all learners, so it does not count as fit time.
            encode_fold(dataset, fold)
            fold_start = time.monotonic()
            spec.folder.mkdir(parents=True, exist_ok=True)
            job = make_training_job(
                learner.options.model_validate(spec.options), dataset, spec, callbacks
            )
            save_fold_model(learner.fit(job), dataset, fold, spec.folder, fold_start)
        callbacks.on_progress("saved", 1.0)


@dataclass(frozen=True)
class TrainingLimits:
    """Seed, time budget, device and threads of the fits of a model."""

    seed: int = 0
    budget_seconds: float | None = None
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class ModelPlan:
    """A model to fit: a learner, its options, and what it is fitted on.

    Attributes:
        learner: name of the learner.
        options: its options, as JSON.
        folder: folder of the model.
        limits: limits of the fits of all folds together.
        columns: names of the feature columns; None for all.
        extra_metadata: further entries of ``model.json``, such as another title.
    """

    learner: str
    options: Json
    folder: Path
    limits: TrainingLimits = field(default_factory=TrainingLimits)
    columns: tuple[str, ...] | None = None
    extra_metadata: Json = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The title of the model."""
        learner: Learner = catalog.load_plugin("learners", self.learner)
        return str(self.extra_metadata.get("title", learner.title))


class FoldSchedule:
    """The folds of a model that are not fitted yet, and the time budget that is left for them."""

    def __init__(self, plan: ModelPlan, n_folds: int, n_workers: int) -> None:
        """Find the folds that an interrupted run completed."""
        self.plan, self.n_workers = plan, n_workers
        self.threads = plan.limits.threads
        if self.threads is None and n_workers > 1:
            # More threads than processors would wait for each other, see fit/compute.py.
            self.threads = max(1, available_cpus() // n_workers)
        seconds = [read_fit_seconds(plan.folder / str(fold)) for fold in range(n_folds)]
        self.seconds_before = sum(s for s in seconds if s is not None)
        self.unfitted_folds = [fold for fold, s in enumerate(seconds) if s is None]
        self.n_waiting = len(self.unfitted_folds)
        self.start: float | None = None

    def make_spec(self, fold: int) -> FitSpec:
        """The specification of a fold that starts now, with its share of the time budget."""
        plan, limits = self.plan, self.plan.limits
        if self.start is None:
            self.start = time.monotonic()
        budget = None
        if limits.budget_seconds:
            # The remaining budget is shared equally among the remaining folds. It is never below
            # one second in total: if early folds took too long, the last ones are still trained.
            seconds_spent = self.seconds_before + time.monotonic() - self.start
            n_parallel = min(self.n_workers, len(self.unfitted_folds))
            remaining_seconds = max(limits.budget_seconds - seconds_spent, 1.0)
            budget = remaining_seconds * n_parallel / max(self.n_waiting, n_parallel)
        self.n_waiting -= 1
        return FitSpec(
            plan.learner, plan.options, fold, plan.folder / str(fold), plan.columns,
            seeds.derive_seed(limits.seed, plan.learner, fold), budget, limits.device,
            self.threads,
        )  # fmt: skip


def read_fit_seconds(fold_folder: Path) -> float | None:
    """How long the fit of a fold took; None if the fold is not fitted."""
    path = fold_folder / "done.json"
    return float(files.read_json(path)["seconds"]) if path.exists() else None


def make_fit_jobs(
    plans: Sequence[ModelPlan], fitter: FoldFitter, executor: Executor, callbacks: JobCallbacks
) -> list[Job[FitSpec]]:
    """Jobs that fit models on each fold of a dataset and save the fold models.

    Folds that an interrupted run completed are left out; an incomplete one resumes from its
    checkpoint. After the jobs `finish_model` completes each model.

    Args:
        plans: the models.
        fitter: fits a fold, in this process or in another one.
        executor: what will run the jobs.
        callbacks: told of the progress of all fits together, and of the epochs of each.
    """
    n_folds = len(fitter.dataset().folds)
    progress = FitProgress(callbacks, len(plans) * n_folds)
    jobs: list[Job[FitSpec]] = []
    for index, plan in enumerate(plans):
        schedule = FoldSchedule(plan, n_folds, executor.n_workers)
        progress.n_done += n_folds - len(schedule.unfitted_folds)
        for fold in schedule.unfitted_folds:
            names = [plan.title] if len(plans) > 1 else []
            names += [f"fold {fold + 1} of {n_folds}"] if n_folds > 1 else []
            fold_callbacks = FoldCallbacks(progress, (index, fold), ", ".join(names))
            jobs.append(Job(partial(schedule.make_spec, fold), fold_callbacks, affinity=fold))
    return jobs


def estimate_fit_bytes(dataset: ModelingDataset) -> int:
    """Memory of a process that fits models on a dataset, roughly."""
    table_bytes = dataset.frame.estimated_size() + dataset.features.estimated_size()
    return PROCESS_BYTES + FIT_BYTES_PER_TABLE_BYTE * int(table_bytes)


def finish_model(plan: ModelPlan, n_folds: int) -> Json:
    """Write what the folds of a model have in common; returns the content of ``model.json``."""
    learner: Learner = catalog.load_plugin("learners", plan.learner)
    seconds = [read_fit_seconds(plan.folder / str(fold)) or 0.0 for fold in range(n_folds)]
    metadata = {
        "learner": learner.name,
        "title": learner.title,
        "complexity": learner.complexity,
        "learner_options": plan.options,
        "n_members": n_folds,
        "fit_seconds": round(sum(seconds), 3),
        **plan.extra_metadata,
    }
    predictions_by_fold = [
        pl.read_parquet(plan.folder / str(fold) / "predictions.parquet") for fold in range(n_folds)
    ]
    pl.concat(predictions_by_fold).write_parquet(plan.folder / "predictions.parquet")
    files.atomic_write_json(plan.folder / "model.json", metadata)
    return metadata


@dataclass
class FitProgress:
    """The progress of several fits, which may run at the same time."""

    callbacks: JobCallbacks
    n_fits: int
    n_done: int = 0
    fractions: dict[Hashable, float] = field(default_factory=dict)  # of the fits that run

    def report(self, fit: Hashable, message: str, fraction: float | None) -> None:
        """Report the progress of a fit as that of all fits together."""
        if fraction is not None:
            self.fractions[fit] = fraction
        total = (self.n_done + sum(self.fractions.values())) / self.n_fits
        self.callbacks.on_progress(message, total)


@dataclass(frozen=True)
class FoldCallbacks:
    """Callbacks of the fit of one fold."""

    progress: FitProgress
    fit: Hashable
    name: str  # begins each message

    def on_progress(self, message: str, fraction: float | None) -> None:
        """Report progress under the name of the fit."""
        text = f"{self.name}, {message}" if self.name else message
        self.progress.report(self.fit, text, fraction)

    def on_epoch_end(self, epoch: int, metrics: Mapping[str, float]) -> bool:
        """Pass on the end of an epoch."""
        return self.progress.callbacks.on_epoch_end(epoch, metrics)


@dataclass(frozen=True)
class EncodedFold:
    """The encoders fitted on the training rows of a fold, and the encoded rows."""

    encoders: EncoderSet
    train: Encoded
    validation: Encoded
    target_scale: Json


def encode_fold(dataset: ModelingDataset, fold: Fold) -> EncodedFold:
    """Fit the encoders of a fold and encode its rows; cached, as no learner affects them."""
    # By identity: the folds live as long as the dataset, whose cache this is.
    cache_key = id(fold)
    if cache_key not in dataset.encoded_folds:
        train_y = dataset.y[fold.train]
        target_scale = dataset.task.fit_target_scale(train_y)
        target = dataset.task.target_indicator_matrix(
            dataset.task.scale_target(train_y, target_scale), dataset.target_spec
        )
        encoders = EncoderSet(dataset.schema)
        train = encoders.fit_transform(encoders.precompute(dataset.features[fold.train]), target)
        validation = encoders.transform(encoders.precompute(dataset.features[fold.validation]))
        dataset.encoded_folds[cache_key] = EncodedFold(encoders, train, validation, target_scale)
    encoded_fold: EncodedFold = dataset.encoded_folds[cache_key]
    return encoded_fold


def make_training_job(
    options: Any, dataset: ModelingDataset, spec: FitSpec, callbacks: JobCallbacks
) -> TrainingJob:
    """The training job of a specification: the encoded rows of its fold, with limits."""
    fold, task = dataset.folds[spec.fold], dataset.task
    encoded_fold = encode_fold(dataset, fold)
    target_scale = encoded_fold.target_scale
    return TrainingJob(
        task=task,
        target_spec=dataset.target_spec,
        options=options,
        encoder_nets=encoded_fold.encoders.build_nets,
        train=encoded_fold.train,
        train_y=task.scale_target(dataset.y[fold.train], target_scale),
        validation=encoded_fold.validation,
        validation_y=task.scale_target(dataset.y[fold.validation], target_scale),
        weights=dataset.weights_at(fold.train),
        validation_weights=dataset.weights_at(fold.validation),
        seed=spec.seed,
        budget=spec.budget_seconds,
        device=spec.device,
        threads=spec.threads,
        checkpoint_folder=spec.folder / CHECKPOINT_FOLDER,
        callbacks=callbacks,
    )


def save_fold_model(
    fitted: FittedModel, dataset: ModelingDataset, fold: Fold, folder: Path, fold_start: float
) -> None:
    """Save a fitted model and its predictions of the validation and evaluation rows of its fold.

    Args:
        fitted: the model.
        dataset: the rows.
        fold: the fold that it was fitted on.
        folder: folder of the fold model; its name is the number of the fold.
        fold_start: time of `time.monotonic` at which the fit began.
    """
    encoded_fold = encode_fold(dataset, fold)
    fold_model = FoldModel(encoded_fold.encoders, fitted, encoded_fold.target_scale, dataset.task)
    encoded_fold.encoders.save(folder, fitted.input_format)
    save_state(folder, "model", fitted.state())
    files.atomic_write_json(folder / "scale.json", encoded_fold.target_scale)
    make_predictions_table(fold_model, dataset, fold, int(folder.name)).write_parquet(
        folder / "predictions.parquet"
    )
    # Removed after everything is written: an earlier crash leaves the checkpoint to resume from.
    shutil.rmtree(folder / CHECKPOINT_FOLDER, ignore_errors=True)
    # Written last: a fold without done.json is fitted again.
    seconds = time.monotonic() - fold_start
    files.atomic_write_json(folder / "done.json", {"seconds": seconds})


def make_predictions_table(
    fold_model: FoldModel, dataset: ModelingDataset, fold: Fold, fold_index: int
) -> pl.DataFrame:
    """Outputs of a fold model on its validation and evaluation rows, one table row each."""
    tables = []
    for part, positions in (("validation", fold.validation), ("evaluation", fold.evaluation)):
        if not len(positions):
            continue
        outputs = fold_model.outputs(dataset.features[positions]).astype(np.float64)
        columns = {
            f"output_{output_index}": outputs[:, output_index]
            for output_index in range(outputs.shape[1])
        }
        tables.append(
            pl.DataFrame({"position": positions, **columns}).with_columns(
                fold=pl.lit(fold_index), part=pl.lit(part)
            )
        )
    return pl.concat(tables)


def load_fold_model(
    learner: Learner, options: Any, folder: Path, task: Task, target_spec: Json
) -> FoldModel:
    """Load a fold model that `save_fold_model` saved."""
    encoders = EncoderSet.load(folder)
    spec = ModelSpec(task, target_spec, options, encoders.build_nets)
    fitted = learner.restore(load_state(folder, "model"), spec)
    return FoldModel(encoders, fitted, files.read_json(folder / "scale.json"), task)
