"""A fitted model with what it said about judge rows, ready to be compared."""

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
    """A model with what it says about judge rows, fold by fold.

    Attributes:
        name: of the learner.
        metadata: what ``model.json`` says.
        folder: where the model lies.
        predictions: calibrated outputs and decisions on all judge rows.
        calibration: fitted on all tune rows, for the bundle.
        fold_calibrations: of each fold, fitted on its own.
        digest: of the model's files.
    """

    name: str
    metadata: Json
    folder: Path
    predictions: Predictions
    calibration: Json
    fold_calibrations: Sequence[Json]
    digest: str


def load_candidate(folder: Path, dataset: ModelingDataset) -> Candidate:
    """The model in a folder; each fold is calibrated on its own tune rows."""
    table = pl.read_parquet(folder / "predictions.parquet")
    predictions_by_fold, validation_outputs, fold_calibrations = [], [], []
    for fold_index in range(len(dataset.folds)):
        validation, evaluation = (
            select_outputs(table, fold_index, part) for part in ("tune", "judge")
        )
        calibration = fit_fold_calibration(table, dataset, fold_index)
        outputs = dataset.task.apply_calibration(evaluation, calibration)
        predictions_by_fold.append(
            dataset.task.predictions_from_outputs(outputs, dataset.target_spec, calibration)
        )
        validation_outputs.append(validation)
        fold_calibrations.append(calibration)
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
    """What makes the outputs of one fold's members honest, from that fold's tune rows.

    Args:
        predictions_table: of outputs, ``predictions.parquet`` of a model.
        dataset: the rows that it was developed on.
        fold: of the fold.
    """
    validation = dataset.folds[fold].validation
    return dataset.task.calibrate(
        select_outputs(predictions_table, fold, "tune"),
        dataset.y[validation],
        dataset.target_spec,
        dataset.weights_at(validation),
    )


def select_outputs(predictions_table: pl.DataFrame, fold: int, part: str) -> Array:
    """Outputs of one fold on its tune or judge rows, in the order of the fold."""
    rows = predictions_table.filter((pl.col("fold") == fold) & (pl.col("part") == part))
    return rows.select(pl.col("^out_.*$")).to_numpy()


def find_models(step_folders: Mapping[str, Path]) -> dict[str, Path]:
    """The models that some steps have left, by name; a later step's goes first."""
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
