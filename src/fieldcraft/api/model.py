"""A model without a project: trained in memory, kept as the bytes of its data files.

The state is data files, as in a project: scikit-learn's tools can pickle it, and a bundle can be
written from it without the training rows.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.archive import ARCHIVE_SUFFIX, pack_bundle
from fieldcraft.bundle.manifest import MANIFEST_FILE, write_manifest
from fieldcraft.contracts import Learner
from fieldcraft.core import catalog, files
from fieldcraft.core.callbacks import NullJobCallbacks
from fieldcraft.core.errors import BundleError
from fieldcraft.core.executor import InProcessExecutor
from fieldcraft.core.types import Json
from fieldcraft.data.schema import Schema
from fieldcraft.data.splitting import Fold
from fieldcraft.modeling.candidate import select_outputs
from fieldcraft.modeling.dataset import ModelingDataset
from fieldcraft.modeling.fold_models import (
    FoldFitter,
    FoldModel,
    ModelPlan,
    TrainingLimits,
    finish_model,
    make_fit_jobs,
    make_predictions_table,
)
from fieldcraft.modeling.packaging import (
    EnsemblePart,
    check_parity,
    export_fold_models,
    load_fold_models,
    make_reference_profile,
)
from fieldcraft.statistics.metrics import Predictions

MAX_PARITY_ROWS = 500  # kept with the model, to check that a bundle predicts the same
TRAINING_ONLY_FILES = ("done.json", "predictions.parquet")  # a restored model does not read them


@dataclass(frozen=True)
class ProblemSpec:
    """A task with its target.

    Attributes:
        task: name of the task.
        target_spec: properties of the target, such as its classes.
        targets: names of the columns to predict.
    """

    task: str
    target_spec: Json
    targets: Sequence[str]


@dataclass(frozen=True)
class InMemoryModel:
    """A trained model as data files, with rows to check a bundle against.

    Attributes:
        files: contents of the files of its fold models, by path.
        metadata: content of ``model.json``.
        problem: the task with its target.
        schema: columns that the model reads.
        calibration: calibration fitted on the validation rows.
        profile: reference profile of columns and predictions.
        digest: digest of the training rows.
        parity_rows: some validation rows, unparsed, as Parquet.
    """

    files: Mapping[str, bytes]
    metadata: Json
    problem: ProblemSpec
    schema: Schema
    calibration: Json
    profile: Json
    digest: str
    parity_rows: bytes

    def __getstate__(self) -> Json:
        # The cached fold models hold sessions and modules; they are restored from `files`.
        return {name: value for name, value in vars(self).items() if name != "fold_models"}

    @cached_property
    def fold_models(self) -> list[FoldModel]:
        """The fold models, restored on first use."""
        with TemporaryDirectory(prefix="fieldcraft-") as folder:
            return load_fold_models(self.write_files(Path(folder)), self.parity_dataset())

    def write_files(self, folder: Path) -> EnsemblePart:
        """Write the data files to a folder."""
        for name, data in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return EnsemblePart(folder)

    def parity_dataset(self) -> ModelingDataset:
        """The parity rows as evaluation rows of every fold, with a dummy target."""
        frame = pl.read_parquet(io.BytesIO(self.parity_rows))
        no_rows, all_rows = np.zeros(0, dtype=np.int64), np.arange(frame.height)
        return ModelingDataset(
            frame,
            self.schema.apply(frame),
            np.zeros(frame.height),
            list(range(1, frame.height + 1)),
            [Fold(no_rows, no_rows, all_rows)] * self.metadata["n_members"],
            self.schema,
            catalog.load_plugin("tasks", self.problem.task),
            self.problem.target_spec,
            self.digest,
        )

    def predict(self, frame: pl.DataFrame) -> Predictions:
        """Outputs, decisions, and prediction sets or intervals for unparsed rows."""
        task = catalog.load_plugin("tasks", self.problem.task)
        values = self.schema.apply(frame)
        outputs = np.mean([fold_model.outputs(values) for fold_model in self.fold_models], axis=0)
        calibrated_outputs = task.apply_calibration(outputs, self.calibration)
        model_predictions: Predictions = task.predictions_from_outputs(
            calibrated_outputs, self.problem.target_spec, self.calibration
        )
        return model_predictions

    def write_bundle(self, path: Path) -> Json:
        """Write a bundle, a folder or a .zip file, and check that it predicts the same.

        Args:
            path: of a new bundle, or of an older one to replace.

        Returns:
            The manifest.

        Raises:
            BundleError: the path holds something else, or the bundle predicts differently.
        """
        if path.exists() and not is_replaceable(path):
            raise BundleError(
                "the path for the bundle holds something else",
                detail=str(path),
                hint="pass a new path, or the path of an older bundle",
            )
        if path.suffix.lower() != ARCHIVE_SUFFIX:
            # Replaced in one step: if the parity check fails, an older bundle is still whole.
            with files.atomic_folder(path) as staging:
                return self.write_bundle_folder(staging)
        with TemporaryDirectory(prefix="fieldcraft-") as folder:
            manifest = self.write_bundle_folder(Path(folder))
            pack_bundle(Path(folder), path)
        return manifest

    def write_bundle_folder(self, folder: Path) -> Json:
        """Write a bundle to an empty folder, and check that it predicts the same."""
        dataset, problem, learner = self.parity_dataset(), self.problem, self.metadata["learner"]
        with TemporaryDirectory(prefix="fieldcraft-") as temporary_folder:
            ensemble_part = self.write_files(Path(temporary_folder) / learner)
            members = export_fold_models(
                folder, [ensemble_part], dataset, lambda message, fraction: None
            )
            files.atomic_write_json(folder / "profile.json", self.profile)
            manifest = write_manifest(folder, {
                "task": problem.task, "target_spec": problem.target_spec,
                "schema": self.schema.as_json(), "members": members, "model": learner,
                "title": self.metadata["title"], "targets": list(problem.targets),
                "description": "", "column_names": [], "id_column": None, "filter": None,
                "tables": [], "calibration": self.calibration, "feature_importance": [],
                "lineage": {"data_digest": self.digest},
            })  # fmt: skip
            tables = [
                make_predictions_table(fold_model, dataset, dataset.folds[number], number)
                for number, fold_model in enumerate(self.fold_models)
            ]
            pl.concat(tables).write_parquet(ensemble_part.folder / "predictions.parquet")
            check_parity(folder, [ensemble_part], dataset)
        return manifest


def is_replaceable(path: Path) -> bool:
    """Whether a bundle may replace what is at a path: an older bundle, or an empty folder."""
    if path.is_dir():
        return (path / MANIFEST_FILE).is_file() or not any(path.iterdir())
    return path.suffix.lower() == ARCHIVE_SUFFIX


def train_model(
    learner: Learner,
    options: Any,
    dataset: ModelingDataset,
    targets: Sequence[str],
    training_limits: TrainingLimits,
) -> InMemoryModel:
    """Train a learner on each fold, and calibrate it on the validation rows of all folds."""
    with TemporaryDirectory(prefix="fieldcraft-") as temporary_folder:
        folder = Path(temporary_folder) / learner.name
        plan = ModelPlan(learner.name, options.model_dump(mode="json"), folder, training_limits)
        fitter, executor = FoldFitter(dataset), InProcessExecutor()
        for _ in executor.map(fitter, make_fit_jobs([plan], fitter, executor, NullJobCallbacks())):
            pass
        metadata = finish_model(plan, len(dataset.folds))
        table = pl.read_parquet(folder / "predictions.parquet")
        paths = [
            file_path
            for file_path in sorted(folder.rglob("*"))
            if file_path.is_file() and file_path.name not in TRAINING_ONLY_FILES
        ]
        contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    numbers = range(len(dataset.folds))
    outputs = np.concatenate([select_outputs(table, number, "validation") for number in numbers])
    # One calibration for all folds, because prediction averages the outputs of the fold models
    # before it calibrates.
    validation_rows = np.concatenate([fold.validation for fold in dataset.folds])
    calibration = dataset.task.calibrate(
        outputs,
        dataset.y[validation_rows],
        dataset.target_spec,
        dataset.weights_at(validation_rows),
    )
    calibrated_outputs = dataset.task.apply_calibration(outputs, calibration)
    frame = dataset.task.to_frame(
        dataset.task.predictions_from_outputs(calibrated_outputs, dataset.target_spec, calibration),
        dataset.target_spec,
    )
    return InMemoryModel(
        contents,
        metadata,
        ProblemSpec(dataset.task.name, dataset.target_spec, targets),
        dataset.schema,
        calibration,
        make_reference_profile(dataset, frame),
        dataset.digest,
        to_parquet_bytes(
            dataset.frame[validation_rows[:MAX_PARITY_ROWS].tolist()].select(
                column.name for column in dataset.schema.input_columns
            )
        ),
    )


def to_parquet_bytes(frame: pl.DataFrame) -> bytes:
    """The bytes of a frame as a Parquet file."""
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()
