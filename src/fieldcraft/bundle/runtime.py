"""Run a bundle: NumPy, Polars and onnxruntime; no PyTorch, no project."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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
        """Outputs for rows, in units of the target."""
        encoded = self.encoders.transform(precomputed)
        inputs = (
            encoded.tensors()
            if self.input_format == "tensors"
            else {"matrix": encoded.matrix().values}
        )
        return task.unscale_outputs(self.run_onnx(inputs), self.target_scale)


@dataclass(frozen=True)
class LookupTable:
    """A further table that a bundle joins to rows, and its key columns."""

    table: pl.DataFrame
    keys: tuple[str, ...]


class Bundle:
    """A packaged model: rows in, predictions out."""

    def __init__(
        self,
        manifest: Json,
        models: Sequence[PackagedModel],
        lookup_tables: Sequence[LookupTable] = (),
    ) -> None:
        """Put a bundle together; `load_bundle` is the usual way to one."""
        self.manifest = manifest
        self.lookup_tables = tuple(lookup_tables)
        self.models = tuple(models)
        self.schema = Schema.from_json(manifest["schema"])
        self.task: Task = catalog.load_plugin("tasks", manifest["task"])
        self.target_spec: Json = manifest["about"]
        self.profile: Json = {}  # what each column looked like in training

    @property
    def model_id(self) -> str:
        """Digest of everything that decides about predictions."""
        return str(self.manifest["model_id"])

    @property
    def largest_encoder_set(self) -> EncoderSet:
        """Those that read all columns; some members may do with fewer kinds."""
        return largest_encoder_set(self.models)

    @property
    def file_columns(self) -> list[str]:
        """The columns whose cells name files, such as photos."""
        return [
            column.name
            for column in self.schema.input_columns
            if load_kind(column.kind).storage == "files"
        ]

    @property
    def required_columns(self) -> list[str]:
        """The columns that a row must have."""
        joined_columns = {name for lookup in self.lookup_tables for name in lookup.table.columns}
        keys = [name for lookup in self.lookup_tables for name in lookup.keys]
        own_columns = [
            column.name for column in self.schema.input_columns if column.name not in joined_columns
        ]
        return list(dict.fromkeys([*own_columns, *keys]))

    def join_tables(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with the columns that the bundle's own tables bring."""
        for lookup in self.lookup_tables:
            joined_columns = [name for name in lookup.table.columns if name not in lookup.keys]
            if not set(joined_columns) <= set(rows.columns):
                rows = left_join(rows.drop(joined_columns, strict=False), lookup.table, lookup.keys)
        return rows

    def predict(self, rows: Any) -> pl.DataFrame:
        """Predictions for rows in their order.

        Args:
            rows: a Polars or pandas frame with the model's columns; others are ignored.

        Returns:
            The column ``prediction``; for classes and labels ``probability_<name>`` and the set
            that holds the truth at the stated rate, for amounts the interval that does.

        Raises:
            DataError: a column is missing, or the rows are not a table.
        """
        return self.task.to_frame(self.predict_raw(to_polars(rows)), self.target_spec)

    def predict_raw(self, rows: pl.DataFrame) -> Predictions:
        """What the model says about rows: outputs, decisions, and sets or intervals."""
        return self.predictions_from_outputs(self.outputs(rows))

    def predictions_from_outputs(self, outputs: Array) -> Predictions:
        """What outputs mean: decisions, and sets or intervals."""
        return self.task.predictions_from_outputs(
            outputs, self.target_spec, self.manifest["calibration"]
        )

    def outputs(self, rows: pl.DataFrame) -> Array:
        """Calibrated probabilities, (rows, classes) or (rows, labels), or values, (rows, 1)."""
        return self.outputs_from_values(self.schema.apply(self.join_tables(rows)))

    def outputs_from_values(self, values: pl.DataFrame) -> Array:
        """The same of rows that the schema has parsed."""
        if not values.height:
            return np.zeros((0, self.task.n_outputs(self.target_spec)))
        batches = [
            self.ensemble_outputs(batch) for batch in self.largest_encoder_set.iter_batches(values)
        ]
        return self.task.apply_calibration(np.concatenate(batches), self.manifest["calibration"])

    def ensemble_outputs(self, values: pl.DataFrame) -> Array:
        """The members' outputs for parsed rows, averaged by their weights."""
        return self.weighted_average(values, self.models)

    def weighted_average(self, values: pl.DataFrame, models: Sequence[PackagedModel]) -> Array:
        """The outputs of some members for parsed rows, averaged by their weights."""
        precomputed = largest_encoder_set(models).precompute(values)
        total_weight = sum(model.weight for model in models)
        weighted_outputs = [
            model.weight / total_weight * model.outputs(precomputed, self.task) for model in models
        ]
        return np.asarray(np.sum(weighted_outputs, axis=0))

    def out_of_fold_predictions(self, rows: pl.DataFrame, folds: Array) -> Predictions:
        """What the members of one fold say about each row: that whose judge rows they are.

        A bundle of a small table has members for each of its folds, which were trained on the
        judge rows of the others, and are calibrated each by its own tune rows.

        Args:
            rows: as read.
            folds: number of the fold of each row, shape (rows,); of a bundle of one fold, 0.
        """
        values = self.schema.apply(self.join_tables(rows))
        predictions_by_fold, positions = [], []
        for fold in np.unique(folds):
            fold_positions = np.flatnonzero(folds == fold)
            fold_models = [model for model in self.models if model.fold == fold]
            batches = largest_encoder_set(fold_models).iter_batches(values[fold_positions.tolist()])
            uncalibrated = np.concatenate(
                [self.weighted_average(batch, fold_models) for batch in batches]
            )
            calibration = self.manifest["calibrations"][int(fold)]
            outputs = self.task.apply_calibration(uncalibrated, calibration)
            predictions_by_fold.append(
                self.task.predictions_from_outputs(outputs, self.target_spec, calibration)
            )
            positions.append(fold_positions)
        return concat_predictions(predictions_by_fold).select_rows(
            np.argsort(np.concatenate(positions))
        )


def largest_encoder_set(models: Sequence[PackagedModel]) -> EncoderSet:
    """The encoders of the member that reads the most kinds of column."""
    return max((model.encoders for model in models), key=lambda found: len(found.by_kind))


def load_bundle(path: str | Path) -> Bundle:
    """Load a bundle, a folder or a .zip file, after checking every file of it.

    >>> load_bundle("nowhere")
    Traceback (most recent call last):
    ...
    fieldcraft.core.errors.BundleError: there is no bundle here
      seen: no manifest.json in nowhere
      way out: give the path of a bundle (folder or .zip file); `fieldcraft run` makes one

    Raises:
        BundleError: there is no bundle, it is not what was packaged, or it cannot be run.
    """
    bundle_path = Path(path)
    if not bundle_path.is_file():
        return load_bundle_folder(bundle_path)
    with unpacked_bundle(bundle_path) as folder:
        return load_bundle_folder(folder)


def load_bundle_folder(folder: Path) -> Bundle:
    """Load a bundle from its folder, and try it on a row without values.

    Raises:
        BundleError: there is no bundle, it is not what was packaged, or it cannot be run.
    """
    manifest = read_manifest(folder)
    try:
        tables = [
            LookupTable(pl.read_parquet(folder / table["file"]), tuple(table["on"]))
            for table in manifest["tables"]
        ]
        models = [
            load_packaged_model(folder / model_entry["folder"], model_entry)
            for model_entry in manifest["members"]
        ]
        bundle = Bundle(manifest, models, tables)
        bundle.profile = files.read_json(folder / "profile.json")
        empty_columns = [pl.Series(name, [None], pl.String) for name in bundle.required_columns]
        bundle.predict(pl.DataFrame(empty_columns))
    except FieldcraftError:
        raise
    except Exception as error:  # whatever a parser makes of files that are no such files
        raise BundleError(
            "the bundle is what its manifest says, but cannot be run",
            detail=f"{type(error).__name__}: {error}".splitlines()[0][:200],
            hint="package the project again: fieldcraft run",
        ) from error
    return bundle


def load_packaged_model(folder: Path, entry: Mapping[str, Any]) -> PackagedModel:
    """One member from its folder in a bundle."""
    model_format = catalog.load_plugin("bundle.formats", entry["format"])
    return PackagedModel(
        EncoderSet.load(folder),
        model_format.load(folder / f"model{model_format.suffix}"),
        entry["view"],
        files.read_json(folder / "scale.json"),
        entry["weight"],
        entry.get("fold", 0),
    )
