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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.encoder_set import EncoderSet, load_state, save_state
from fieldcraft.contracts import Encoded, FittedModel, Learner, ModelSpec, Task, TrainingJob
from fieldcraft.core import files, seeds
from fieldcraft.core.types import Array, Json, ProgressCallback
from fieldcraft.data.splitting import Fold
from fieldcraft.modeling.dataset import ModelingDataset

CHECKPOINT_FOLDER = "checkpoints"


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
class TrainingLimits:
    """Seed, time budget, device and progress callback of a fit."""

    seed: int = 0
    budget_seconds: float | None = None
    device: str = "auto"
    on_progress: ProgressCallback = lambda message, fraction: None


def fit_fold_models(
    learner: Learner, options: Any, dataset: ModelingDataset, folder: Path, limits: TrainingLimits,
    extra_metadata: Mapping[str, Any] | None = None,
) -> Json:  # fmt: skip
    """Fit a learner on each fold and save the fold models.

    Folds that an interrupted run completed are kept; an incomplete one resumes from its
    checkpoint.

    Args:
        learner: the learner.
        options: its options.
        dataset: the rows and their folds.
        folder: folder of the model.
        limits: seed, time budget and device.
        extra_metadata: further entries of ``model.json``, such as another title.

    Returns:
        The content of ``model.json``.
    """
    start = time.monotonic()
    seconds_before = 0.0
    for index, fold in enumerate(dataset.folds):
        fold_folder = folder / str(index)
        if (fold_folder / "done.json").exists():
            seconds_before += files.read_json(fold_folder / "done.json")["seconds"]
            continue
        folds_left = len(dataset.folds) - index
        seconds_spent = seconds_before + time.monotonic() - start
        # The remaining budget is shared equally among the remaining folds. It is never below one
        # second in total: if early folds took too long, the last ones are still trained.
        budget = (
            max(limits.budget_seconds - seconds_spent, 1.0) / folds_left
            if limits.budget_seconds
            else None
        )
        # Encoding is cached and shared by all learners, so it does not count as fit time.
        encode_fold(dataset, fold)
        fold_start = time.monotonic()
        fold_folder.mkdir(parents=True, exist_ok=True)
        fold_limits = TrainingLimits(
            seeds.derive_seed(limits.seed, learner.name, index), budget, limits.device,
            name_fold_in_progress(limits.on_progress, index, len(dataset.folds)),
        )  # fmt: skip
        fitted = learner.fit(make_training_job(options, dataset, fold, fold_folder, fold_limits))
        save_fold_model(fitted, dataset, fold, fold_folder, fold_start)
    seconds = [
        files.read_json(folder / str(fold_index) / "done.json")["seconds"]
        for fold_index in range(len(dataset.folds))
    ]
    metadata = {
        "learner": learner.name,
        "title": learner.title,
        "complexity": learner.complexity,
        "learner_options": options.model_dump(mode="json"),
        "n_members": len(dataset.folds),
        "fit_seconds": round(sum(seconds), 3),
        **(extra_metadata or {}),
    }
    predictions_by_fold = [
        pl.read_parquet(folder / str(fold_index) / "predictions.parquet")
        for fold_index in range(len(dataset.folds))
    ]
    pl.concat(predictions_by_fold).write_parquet(folder / "predictions.parquet")
    files.atomic_write_json(folder / "model.json", metadata)
    return metadata


def name_fold_in_progress(
    on_progress: ProgressCallback, fold_index: int, n_folds: int
) -> ProgressCallback:
    """A callback that names the fold in messages and counts progress over all folds."""
    if n_folds == 1:
        return on_progress

    def on_fold_progress(message: str, fraction: float | None) -> None:
        total_fraction = (
            (fold_index + fraction) / n_folds if fraction is not None else fold_index / n_folds
        )
        on_progress(f"fold {fold_index + 1} of {n_folds}, {message}", total_fraction)

    return on_fold_progress


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
    options: Any, dataset: ModelingDataset, fold: Fold, folder: Path, limits: TrainingLimits
) -> TrainingJob:
    """The training job of a fold: its encoded rows with the options and limits of the fit."""
    encoded_fold, task = encode_fold(dataset, fold), dataset.task
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
        seed=limits.seed,
        budget=limits.budget_seconds,
        device=limits.device,
        checkpoint_folder=folder / CHECKPOINT_FOLDER,
        on_progress=limits.on_progress,
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
