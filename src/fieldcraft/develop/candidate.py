"""A fitted model with what it said about judge rows, ready to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json
from fieldcraft.core import digest, files
from fieldcraft.develop.rows import Development
from fieldcraft.evidence.metrics import Said, together


@dataclass(frozen=True)
class Candidate:
    """A model with what it says about judge rows, fold by fold.

    Attributes:
        name: of the learner.
        about: what ``model.json`` says.
        folder: where the model lies.
        said: calibrated outputs and decisions on all judge rows.
        calibration: fitted on all tune rows, for the bundle.
        calibrations: of each fold, fitted on its own.
        digest: of the model's files.
    """

    name: str
    about: Json
    folder: Path
    said: Said
    calibration: Json
    calibrations: Sequence[Json]
    digest: str


def load_candidate(place: Path, rows: Development) -> Candidate:
    """The model in a folder; each fold is calibrated on its own tune rows."""
    table = pl.read_parquet(place / "predictions.parquet")
    found, tuned, calibrations = [], [], []
    for number in range(len(rows.folds)):
        tune, judge = (outputs_of(table, number, part) for part in ("tune", "judge"))
        calibration = fold_calibration(table, rows, number)
        outputs = rows.task.calibrated(judge, calibration)
        found.append(rows.task.read(outputs, rows.about, calibration))
        tuned.append(tune)
        calibrations.append(calibration)
    every = np.concatenate([fold.tune for fold in rows.folds])
    return Candidate(
        place.name,
        files.read_json(place / "model.json"),
        place,
        together(found),
        rows.task.calibrate(
            np.concatenate(tuned), rows.y[every], rows.about, rows.weights_at(every)
        ),
        calibrations,
        digest.of_json(digest.of_folder(place)),
    )


def fold_calibration(table: pl.DataFrame, rows: Development, number: int) -> Json:
    """What makes the outputs of one fold's members honest, from that fold's tune rows.

    Args:
        table: of outputs, ``predictions.parquet`` of a model.
        rows: the rows that it was developed on.
        number: of the fold.
    """
    tune = rows.folds[number].tune
    return rows.task.calibrate(
        outputs_of(table, number, "tune"), rows.y[tune], rows.about, rows.weights_at(tune)
    )


def outputs_of(table: pl.DataFrame, fold: int, part: str) -> Array:
    """Outputs of one fold on its tune or judge rows, in the order of the fold."""
    rows = table.filter((pl.col("fold") == fold) & (pl.col("part") == part))
    return rows.select(pl.col("^out_.*$")).to_numpy()


def models_in(folders: Mapping[str, Path]) -> dict[str, Path]:
    """The models that some steps have left, by name; a later step's goes first."""
    places = [place for folder in folders.values() for place in sorted(folder.iterdir())]
    return {place.name: place for place in places if (place / "model.json").exists()}
