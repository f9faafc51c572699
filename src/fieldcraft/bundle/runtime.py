"""Run a bundle with NumPy, Polars and onnxruntime, without PyTorch and without a project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from fieldcraft.bundle.archive import unpacked_bundle
from fieldcraft.bundle.encoder_set import EncoderSet, PrecomputedRows
from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.contracts import Task
from fieldcraft.core import catalog, files
from fieldcraft.core.errors import BundleError, FieldcraftError
from fieldcraft.core.types import Array, Json
from fieldcraft.data.dataframes import to_polars
from fieldcraft.data.schema import Schema, load_kind
from fieldcraft.data.sql_transforms import left_join
from fieldcraft.statistics.metrics import Predictions, concat_predictions


@dataclass(frozen=True)
class PackagedModel:
    """One member of a packaged model."""

    encoders: EncoderSet
    run_onnx: Callable[[Mapping[str, Array]], Array]
    input_format: Literal["tensors", "matrix"]
    target_scale: Json
    weight: float = 1.0
    fold: int = 0

    def outputs(self, precomputed: PrecomputedRows, task: Task) -> Array:
        """Outputs for rows, (rows, outputs): uncalibrated, in units of the target."""
        encoded = self.encoders.transform(precomputed)
        inputs = (
            encoded.tensors()
            if self.input_format == "tensors"
            else {"matrix": encoded.matrix().values}
        )
        return task.unscale_outputs(self.run_onnx(inputs), self.target_scale)


@dataclass(frozen=True)
class LookupTable:
    """A table that a bundle joins to rows, and its key columns."""

    table: pl.DataFrame
    keys: tuple[str, ...]


class Bundle:
    """A packaged model that predicts from raw rows."""

    def __init__(
        self,
        manifest: Json,
        models: Sequence[PackagedModel],
        lookup_tables: Sequence[LookupTable] = (),
    ) -> None:
        """Build a bundle from its parts; `load_bundle` reads one from disk."""
        self.manifest = manifest
        self.lookup_tables = tuple(lookup_tables)
        self.models = tuple(models)
        self.schema = Schema.from_json(manifest["schema"])
        self.task: Task = catalog.load_plugin("tasks", manifest["task"])
        self.target_spec: Json = manifest["target_spec"]
        self.profile: Json = {}  # reference profile of each column

    @property
    def model_id(self) -> str:
        """Digest of everything that predictions depend on."""
        return str(self.manifest["model_id"])

    @cached_property
    def largest_encoder_set(self) -> EncoderSet:
        """The encoders of the member that reads the most kinds of columns."""
        return find_largest_encoder_set(self.models)

    @property
    def file_columns(self) -> list[str]:
        """The columns whose cells name files, such as images."""
        return [
            column.name
            for column in self.schema.input_columns
            if load_kind(column.kind).storage == "files"
        ]

    @property
    def required_columns(self) -> list[str]:
        """The columns that a row must have: those that no lookup table adds, and join keys."""
        joined_columns = {name for lookup in self.lookup_tables for name in lookup.table.columns}
        keys = [name for lookup in self.lookup_tables for name in lookup.keys]
        own_columns = [
            column.name for column in self.schema.input_columns if column.name not in joined_columns
        ]
        return list(dict.fromkeys([*own_columns, *keys]))

    def join_tables(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with the columns of the bundle's lookup tables.

        A table is not joined where the rows have all of its columns already, as rows do that were
        joined elsewhere. Where they have only some, the table's replace them: a mixture of two
        sources would match no training row.
        """
        for lookup in self.lookup_tables:
            joined_columns = [name for name in lookup.table.columns if name not in lookup.keys]
            if not set(joined_columns) <= set(rows.columns):
                rows = left_join(rows.drop(joined_columns, strict=False), lookup.table, lookup.keys)
        return rows

    def predict(self, rows: Any) -> pl.DataFrame:
        """Predictions for rows in their order.

        Args:
            rows: a Polars or pandas data frame with the model's columns; others are ignored.

        Returns:
            The column ``prediction``; for classes and labels ``probability_<name>`` and the
            prediction set at the target coverage, for a number its prediction interval.

        Raises:
            DataError: a column is missing, or the rows are not a data frame.
        """
        values = self.schema.apply(self.join_tables(to_polars(rows)))
        outputs = self.outputs_from_values(values)
        return self.task.to_frame(self.predictions_from_outputs(outputs), self.target_spec)

    def predict_raw(self, rows: pl.DataFrame) -> Predictions:
        """Predictions for rows as arrays: outputs, decisions, and sets or intervals."""
        return self.predictions_from_outputs(self.outputs(rows))

    def predictions_from_outputs(self, outputs: Array) -> Predictions:
        """Decisions, and sets or intervals, for calibrated outputs."""
        return self.task.predictions_from_outputs(
            outputs, self.target_spec, self.manifest["calibration"]
        )

    def outputs(self, rows: pl.DataFrame) -> Array:
        """Calibrated probabilities, (rows, classes) or (rows, labels), or values, (rows, 1)."""
        return self.outputs_from_values(self.schema.apply(self.join_tables(rows)))

    def outputs_from_values(
        self,
        values: pl.DataFrame,
        models: Sequence[PackagedModel] | None = None,
        calibration: Json | None = None,
    ) -> Array:
        """Calibrated outputs for rows that the schema has parsed.

        Args:
            values: parsed rows.
            models: the members whose outputs are averaged by weight; all of them if None.
            calibration: of these members; the bundle's own if None.

        Returns:
            Probabilities, (rows, classes) or (rows, labels), or values, (rows, 1).
        """
        models = self.models if models is None else models
        calibration = self.manifest["calibration"] if calibration is None else calibration
        if not values.height:
            return np.zeros((0, self.task.n_outputs(self.target_spec)))
        # Members share the expensive part of encoding (decoding images, embedding texts). It is
        # done once, with the encoders of the member that reads the most kinds of columns: they
        # include the kinds of every other member.
        encoders = find_largest_encoder_set(models)
        total_weight = sum(model.weight for model in models)
        batch_outputs = []
        for batch in encoders.iter_batches(values):
            precomputed = encoders.precompute(batch)
            weighted_outputs = []
            for model in models:
                model_weight = model.weight / total_weight
                weighted_outputs.append(model_weight * model.outputs(precomputed, self.task))
            batch_outputs.append(np.asarray(np.sum(weighted_outputs, axis=0)))
        # Calibration was fitted on averaged outputs, so it comes after the average.
        return self.task.apply_calibration(np.concatenate(batch_outputs), calibration)

    def out_of_fold_predictions(self, rows: pl.DataFrame, folds: Array) -> Predictions:
        """Predictions for each row from the members that were not trained on it.

        The bundle of a small table has members for each of its folds. They were trained on the
        evaluation rows of the other folds, and each fold is calibrated on its own validation rows.

        Args:
            rows: as read.
            folds: the fold whose evaluation rows each row belongs to, shape (rows,); 0 for a
                bundle with one fold.
        """
        values = self.schema.apply(self.join_tables(rows))
        predictions_by_fold, positions = [], []
        for fold in np.unique(folds):
            fold_positions = np.flatnonzero(folds == fold)
            fold_models = [model for model in self.models if model.fold == fold]
            # One calibration for all folds costs accuracy: a ROC AUC of .9245 in place of .9353
            # (docs/log.md).
            calibration = self.manifest["fold_calibrations"][int(fold)]
            outputs = self.outputs_from_values(
                values[fold_positions.tolist()], fold_models, calibration
            )
            predictions_by_fold.append(
                self.task.predictions_from_outputs(outputs, self.target_spec, calibration)
            )
            positions.append(fold_positions)
        # The inverse of the permutation that grouped the rows by fold restores their order.
        return concat_predictions(predictions_by_fold).select_rows(
            np.argsort(np.concatenate(positions))
        )


def find_largest_encoder_set(models: Sequence[PackagedModel]) -> EncoderSet:
    """The encoders of the member that reads the most kinds of columns."""
    return max((model.encoders for model in models), key=lambda encoders: len(encoders.by_kind))


def load_bundle(path: str | Path) -> Bundle:
    """Load a bundle from a folder or a .zip file, after verifying the checksum of each file.

    >>> load_bundle("nowhere")
    Traceback (most recent call last):
    ...
    fieldcraft.core.errors.BundleError: there is no bundle here
      detail: no manifest.json in nowhere
      hint: give the path of a bundle (folder or .zip file); `fieldcraft run` makes one

    Raises:
        BundleError: there is no bundle, it is not what was packaged, or it cannot be run.
    """
    bundle_path = Path(path)
    is_archive = bundle_path.is_file()
    with unpacked_bundle(bundle_path) if is_archive else nullcontext(bundle_path) as folder:
        manifest = read_manifest(folder)
        try:
            bundle = build_bundle(folder, manifest)
            # Predicting one row of missing values detects what no checksum can: files that match
            # the manifest but not each other, and an ONNX model that this onnxruntime cannot run.
            empty_columns = [pl.Series(name, [None], pl.String) for name in bundle.required_columns]
            bundle.predict(pl.DataFrame(empty_columns))
        except FieldcraftError:
            raise
        except Exception as error:  # parsers raise anything when given an invalid file
            raise BundleError(
                "the bundle matches its manifest, but cannot be run",
                detail=f"{type(error).__name__}: {error}".splitlines()[0][:200],
                hint="package the project again: fieldcraft run",
            ) from error
    return bundle


def build_bundle(folder: Path, manifest: Json) -> Bundle:
    """A bundle from the files of its folder, which its manifest describes."""
    tables = [
        LookupTable(pl.read_parquet(folder / table["file"]), tuple(table["keys"]))
        for table in manifest["tables"]
    ]
    models = [
        load_packaged_model(folder / model_entry["folder"], model_entry)
        for model_entry in manifest["members"]
    ]
    bundle = Bundle(manifest, models, tables)
    bundle.profile = files.read_json(folder / "profile.json")
    return bundle


def load_packaged_model(folder: Path, entry: Mapping[str, Any]) -> PackagedModel:
    """One member from its folder in a bundle."""
    model_format = catalog.load_plugin("bundle.formats", entry["format"])
    return PackagedModel(
        EncoderSet.load(folder),
        model_format.load(folder / f"model{model_format.suffix}"),
        entry["input_format"],
        files.read_json(folder / "scale.json"),
        entry["weight"],
        entry.get("fold", 0),
    )
