"""Trained models with their predictions on the evaluation rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.core import digest, files
from fieldcraft.core.types import Array, Json
from fieldcraft.modeling.dataset import ModelingDataset
from fieldcraft.statistics.metrics import Predictions, concat_predictions


@dataclass(frozen=True)
class Candidate:
    """A trained model with its predictions on the evaluation rows, in the order of the folds.

    Attributes:
        name: name of the model, which is that of its folder.
        metadata: content of ``model.json``.
        folder: folder of the model.
        predictions: calibrated outputs and decisions on all evaluation rows.
        calibration: calibration fitted on all validation rows, for the bundle.
        fold_calibrations: calibration of each fold, fitted on its validation rows.
        digest: digest of the files of the model.
    """

    name: str
    metadata: Json
    folder: Path
    predictions: Predictions
    calibration: Json
    fold_calibrations: Sequence[Json]
    digest: str


def load_candidate(folder: Path, dataset: ModelingDataset) -> Candidate:
    """Load a model; the outputs of each fold are calibrated on its own validation rows."""
    table = pl.read_parquet(folder / "predictions.parquet")
    predictions_by_fold, validation_outputs, fold_calibrations = [], [], []
    for fold_index in range(len(dataset.folds)):
        validation, evaluation = (
            select_outputs(table, fold_index, part) for part in ("validation", "evaluation")
        )
        calibration = fit_fold_calibration(table, dataset, fold_index)
        outputs = dataset.task.apply_calibration(evaluation, calibration)
        predictions_by_fold.append(
            dataset.task.predictions_from_outputs(outputs, dataset.target_spec, calibration)
        )
        validation_outputs.append(validation)
        fold_calibrations.append(calibration)
    # The bundle averages the members of all folds, so its calibration is fitted on the validation
    # rows of all folds. The outputs are still out-of-fold: a member that was not trained on a row
    # predicted it.
    validation_positions = np.concatenate([fold.validation for fold in dataset.folds])
    return Candidate(
        folder.name,
        files.read_json(folder / "model.json"),
        folder,
        concat_predictions(predictions_by_fold),
        dataset.task.calibrate(
            np.concatenate(validation_outputs),
            dataset.y[validation_positions],
            dataset.target_spec,
            dataset.weights_at(validation_positions),
        ),
        fold_calibrations,
        digest.of_json(digest.of_folder(folder)),
    )


def fit_fold_calibration(
    predictions_table: pl.DataFrame, dataset: ModelingDataset, fold: int
) -> Json:
    """Fit the calibration of one fold on its validation rows.

    Args:
        predictions_table: ``predictions.parquet`` of a model.
        dataset: the dataset that it was trained on.
        fold: index of the fold.
    """
    validation = dataset.folds[fold].validation
    return dataset.task.calibrate(
        select_outputs(predictions_table, fold, "validation"),
        dataset.y[validation],
        dataset.target_spec,
        dataset.weights_at(validation),
    )


def select_outputs(predictions_table: pl.DataFrame, fold: int, part: str) -> Array:
    """Outputs on the validation or evaluation rows of one fold, in the order of the fold."""
    rows = predictions_table.filter((pl.col("fold") == fold) & (pl.col("part") == part))
    return rows.select(pl.col("^output_.*$")).to_numpy()


def find_models(step_folders: Mapping[str, Path]) -> dict[str, Path]:
    """The folders of the models of some steps, by name; a later step overrides an earlier one."""
    model_folders = [
        model_folder
        for step_folder in step_folders.values()
        for model_folder in sorted(step_folder.iterdir())
    ]
    return {
        model_folder.name: model_folder
        for model_folder in model_folders
        if (model_folder / "model.json").exists()
    }
