"""Write the bundle of a model, and verify that it predicts what the trained model predicts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.encoder_set import SHARED_FOLDER, add_shared_file
from fieldcraft.bundle.manifest import write_manifest
from fieldcraft.bundle.runtime import Bundle, PackagedModel, load_bundle
from fieldcraft.contracts import Learner
from fieldcraft.core import catalog, files
from fieldcraft.core.errors import BundleError
from fieldcraft.core.types import Array, Json, ProgressCallback
from fieldcraft.data.schema import Schema
from fieldcraft.modeling.dataset import ModelingDataset, select_columns
from fieldcraft.modeling.fold_models import FoldModel, load_fold_model
from fieldcraft.statistics import performance, reference_profile

# Of probabilities, or of the standardized target. float32 arithmetic in ONNX Runtime and in the
# training framework differs by about 1e-6; a real mistake differs by far more.
MAX_OUTPUT_DIFFERENCE = 1e-5
MODEL_FORMAT = "onnx"


@dataclass(frozen=True)
class EnsemblePart:
    """A trained model in a bundle, and its weight in the ensemble."""

    folder: Path
    weight: float = 1.0


def load_ensemble_parts(
    model_folder: Path, model_folders: Mapping[str, Path]
) -> list[EnsemblePart]:
    """The trained models of a model: itself, or the members of an ensemble."""
    weights_by_name = files.read_json(model_folder / "model.json").get("ensemble_weights")
    if not weights_by_name:
        return [EnsemblePart(model_folder)]
    return [EnsemblePart(model_folders[name], weight) for name, weight in weights_by_name.items()]


def restrict_columns(parts: Sequence[EnsemblePart], dataset: ModelingDataset) -> ModelingDataset:
    """Restrict a dataset to the columns that some trained models read."""
    columns_by_part = [files.read_json(part.folder / "model.json").get("columns") for part in parts]
    if not all(columns_by_part):
        return dataset
    return select_columns(dataset, sorted({name for names in columns_by_part for name in names}))


def load_fold_models(part: EnsemblePart, dataset: ModelingDataset) -> list[FoldModel]:
    """The fold models of a trained model."""
    metadata = files.read_json(part.folder / "model.json")
    learner: Learner = catalog.load_plugin("learners", metadata["learner"])
    options = learner.options.model_validate(metadata["learner_options"])
    return [
        load_fold_model(
            learner, options, part.folder / str(fold_index), dataset.task, dataset.target_spec
        )
        for fold_index in range(metadata["n_members"])
    ]


def write_bundle(
    folder: Path,
    parts: Sequence[EnsemblePart],
    dataset: ModelingDataset,
    decisions: pl.DataFrame,
    sensitive_schema: Schema | None,
    extra_body: Mapping[str, Any],
    on_progress: ProgressCallback,
) -> Json:
    """Write fold models, reference profile and manifest into the folder of a bundle.

    Args:
        folder: folder of the bundle; it may contain the joined tables, and nothing else.
        parts: the trained models of the bundle.
        dataset: the dataset that they were trained on.
        decisions: predictions on the evaluation rows.
        sensitive_schema: columns by whose groups performance is monitored, if any.
        extra_body: further entries of the manifest.
        on_progress: called with a message.

    Returns:
        The manifest.
    """
    model_entries = export_fold_models(folder, parts, dataset, on_progress)
    files.atomic_write_json(folder / "profile.json", make_reference_profile(dataset, decisions))
    return write_manifest(
        folder,
        {
            "task": dataset.task.name,
            "target_spec": dataset.target_spec,
            "schema": dataset.schema.as_json(),
            "members": model_entries,
            "reference_loss": make_reference_loss(dataset, decisions, sensitive_schema),
            **extra_body,
        },
    )


def export_fold_models(
    folder: Path,
    parts: Sequence[EnsemblePart],
    dataset: ModelingDataset,
    on_progress: ProgressCallback,
) -> list[Json]:
    """Export the fold models into a bundle; returns their entries in the manifest."""
    model_format = catalog.load_plugin("bundle.formats", MODEL_FORMAT)
    entries = []
    for part in parts:
        fold_models = load_fold_models(part, dataset)
        for path in sorted((part.folder / SHARED_FOLDER).glob("*")):
            add_shared_file(path, folder / "members" / SHARED_FOLDER)
        for fold_index, fold_model in enumerate(fold_models):
            on_progress(
                f"exporting {part.folder.name}, fold {fold_index + 1} of {len(fold_models)}", None
            )
            member_folder = folder / "members" / f"{part.folder.name}-{fold_index}"
            member_folder.mkdir(parents=True)
            for name in ("encoders.json", "encoders.safetensors", "scale.json"):
                shutil.copyfile(part.folder / str(fold_index) / name, member_folder / name)
            model_format.write(fold_model.fitted, member_folder / f"model{model_format.suffix}")
            entries.append(
                {
                    "folder": f"members/{member_folder.name}",
                    "format": model_format.name,
                    "input_format": fold_model.fitted.input_format,
                    "fold": fold_index,
                    "weight": part.weight / len(fold_models),
                }
            )
    return entries


def make_reference_profile(dataset: ModelingDataset, decisions: pl.DataFrame) -> Json:
    """The reference distributions of columns and predictions, for detecting drift.

    Bins are learned from training rows, and held-out rows are counted in them. With several folds
    each evaluation row was predicted by one fold model, but the bundle predicts with their average,
    which has another distribution: predictions then have bins, but no reference counts.

    Args:
        dataset: the dataset that the model was trained on.
        decisions: its predictions on the evaluation rows.
    """
    training_positions = np.unique(np.concatenate([fold.train for fold in dataset.folds]))
    held_out_positions = np.unique(
        np.concatenate([[*fold.validation, *fold.evaluation] for fold in dataset.folds])
    )
    columns = {}
    for column in dataset.schema.columns:
        statistics = catalog.load_plugin("kinds", column.kind).drift_statistics(
            dataset.features[column.name]
        )
        columns[column.name] = {
            name: reference_profile.fit_reference_profile(
                values[training_positions], values[held_out_positions]
            )
            for name, values in statistics.items()
        }
    predictions = {
        name: reference_profile.fit_reference_profile(statistic, statistic)
        for name, statistic in reference_profile.prediction_measures(decisions).items()
    }
    return {
        "n_reference_rows": len(held_out_positions), "columns": columns,
        "n_folds": len(dataset.folds),
        "n_predictions": decisions.height, "predictions": predictions,
    }  # fmt: skip


def make_reference_loss(
    dataset: ModelingDataset, decisions: pl.DataFrame, sensitive_schema: Schema | None
) -> Json | None:
    """The loss on the evaluation rows, overall and by group; None for multilabel tasks."""
    if dataset.task.output == "labels":
        return None
    positions = decisions["position"].to_list()
    reference = performance.reference_loss(decisions, dataset.y[positions])
    losses = performance.bounded_losses(decisions, dataset.y[positions], reference["loss_unit"])
    losses_by_group: Json = {}
    if sensitive_schema is not None:
        losses_by_group = performance.losses_by_group(
            losses, sensitive_schema.apply(dataset.frame[positions])
        )
        for column in sensitive_schema.columns:
            losses_by_group[column.name]["column"] = column.as_json()
    return {**reference, "groups": losses_by_group}


def check_parity(folder: Path, parts: Sequence[EnsemblePart], dataset: ModelingDataset) -> float:
    """Load a bundle and compare its outputs on the evaluation rows with those of the trained model.

    The bundle gets unparsed rows, so that parsing, encoding and the exported model are all tested.

    Returns:
        The largest difference of a probability, or of the standardized target.

    Raises:
        BundleError: a difference exceeds `MAX_OUTPUT_DIFFERENCE`, or a decision differs.
    """
    bundle = load_bundle(folder)
    # In the order of `export_fold_models`: part by part, fold by fold.
    packaged_models = iter(bundle.models)
    max_difference = 0.0
    for part in parts:
        predictions_table = pl.read_parquet(part.folder / "predictions.parquet")
        evaluation_rows = predictions_table.filter(pl.col("part") == "evaluation")
        for fold_index in range(int(evaluation_rows["fold"].n_unique())):
            fold_rows = evaluation_rows.filter(pl.col("fold") == fold_index)
            name = f"{part.folder.name}, fold {fold_index}"
            max_difference = max(
                max_difference,
                max_output_difference(bundle, next(packaged_models), fold_rows, dataset, name),
            )
    return max_difference


def max_output_difference(
    bundle: Bundle,
    packaged_model: PackagedModel,
    predictions_table: pl.DataFrame,
    dataset: ModelingDataset,
    name: str,
) -> float:
    """The largest output difference between a packaged fold model and the trained one.

    Raises:
        BundleError: it exceeds `MAX_OUTPUT_DIFFERENCE`, or a decision differs.
    """
    trained_outputs = predictions_table.select(pl.col("^output_.*$")).to_numpy()
    frame = bundle.join_tables(dataset.frame[predictions_table["position"].to_list()])
    precomputed = packaged_model.encoders.precompute(bundle.schema.apply(frame))
    packaged_outputs = packaged_model.outputs(precomputed, bundle.task)
    target_std = float(packaged_model.target_scale.get("std", 1.0))
    difference = float(np.abs(packaged_outputs - trained_outputs).max(initial=0.0)) / target_std
    n_changed = count_changed_decisions(bundle, packaged_outputs, trained_outputs)
    # Not `difference > MAX_OUTPUT_DIFFERENCE`, which is false for NaN.
    if not difference <= MAX_OUTPUT_DIFFERENCE or n_changed:
        raise BundleError(
            "the packaged model and the trained model predict differently",
            detail=f"{name}: largest difference {difference:.2g} "
            f"(limit {MAX_OUTPUT_DIFFERENCE:g}), {n_changed} of {len(packaged_outputs):,} "
            "decisions changed",
            hint="set model.learner to another learner, and please report this model",
        )
    return difference


def count_changed_decisions(bundle: Bundle, packaged_outputs: Array, trained_outputs: Array) -> int:
    """The number of decisions that differ; near ties do not count.

    A tie is near if the allowed output difference, in both outputs, could change the decision.
    """
    if bundle.task.output == "value":
        return 0
    if bundle.task.output == "labels":
        is_clear = np.abs(trained_outputs - 0.5) > 2 * MAX_OUTPUT_DIFFERENCE
        return int((is_clear & ((packaged_outputs > 0.5) != (trained_outputs > 0.5))).sum())
    sorted_outputs = np.sort(trained_outputs, axis=1)
    is_clear = sorted_outputs[:, -1] - sorted_outputs[:, -2] > 2 * MAX_OUTPUT_DIFFERENCE
    return int(
        (is_clear & (packaged_outputs.argmax(axis=1) != trained_outputs.argmax(axis=1))).sum()
    )
