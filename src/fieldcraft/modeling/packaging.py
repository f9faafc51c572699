"""Write a bundle from a model's members, and prove that it predicts what they predict."""

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

MAX_OUTPUT_DIFFERENCE = 1e-5  # of probabilities, or of the standardised target
MODEL_FORMAT = "onnx"


@dataclass(frozen=True)
class EnsemblePart:
    """A trained model that goes into a bundle, and its weight there."""

    folder: Path
    weight: float = 1.0


def load_ensemble_parts(
    model_folder: Path, model_folders: Mapping[str, Path]
) -> list[EnsemblePart]:
    """The trained models that a model is made of: itself, or those that a blend names."""
    weights_by_name = files.read_json(model_folder / "model.json").get("parts")
    if not weights_by_name:
        return [EnsemblePart(model_folder)]
    return [EnsemblePart(model_folders[name], weight) for name, weight in weights_by_name.items()]


def restrict_columns(parts: Sequence[EnsemblePart], dataset: ModelingDataset) -> ModelingDataset:
    """The rows with the columns that some trained models read."""
    columns_by_part = [files.read_json(part.folder / "model.json").get("columns") for part in parts]
    if not all(columns_by_part):
        return dataset
    return select_columns(dataset, sorted({name for names in columns_by_part for name in names}))


def load_fold_models(part: EnsemblePart, dataset: ModelingDataset) -> list[FoldModel]:
    """The fitted members of a trained model, one for each fold."""
    metadata = files.read_json(part.folder / "model.json")
    learner: Learner = catalog.load_plugin("learners", metadata["learner"])
    options = learner.options.model_validate(metadata["options"])
    return [
        load_fold_model(
            learner, options, part.folder / str(fold_index), dataset.task, dataset.target_spec
        )
        for fold_index in range(metadata["members"])
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
    """Write the members, the reference profile and the manifest into an empty folder.

    Args:
        folder: where the bundle comes into being; tables that it joins are there already.
        parts: the trained models that it predicts with.
        dataset: the rows that the model was developed on.
        decisions: what it says of judge rows.
        sensitive_schema: columns by whose groups performance at work is told apart.
        extra_body: further entries of the manifest.
        on_progress: told how far it is.

    Returns:
        The manifest.
    """
    model_entries = export_fold_models(folder, parts, dataset, on_progress)
    files.atomic_write_json(folder / "profile.json", make_reference_profile(dataset, decisions))
    return write_manifest(
        folder,
        {
            "task": dataset.task.name,
            "about": dataset.target_spec,
            "schema": dataset.schema.as_json(),
            "members": model_entries,
            "performance": make_reference_loss(dataset, decisions, sensitive_schema),
            **extra_body,
        },
    )


def export_fold_models(
    folder: Path,
    parts: Sequence[EnsemblePart],
    dataset: ModelingDataset,
    on_progress: ProgressCallback,
) -> list[Json]:
    """Export the members of trained models into a bundle; what the manifest says of them."""
    model_format = catalog.load_plugin("bundle.formats", MODEL_FORMAT)
    entries = []
    for part in parts:
        fold_models = load_fold_models(part, dataset)
        for path in sorted((part.folder / SHARED_FOLDER).glob("*")):
            add_shared_file(path, folder / "members" / SHARED_FOLDER)
        for fold_index, fold_model in enumerate(fold_models):
            on_progress(
                f"exporting {part.folder.name}, member {fold_index + 1} of {len(fold_models)}", None
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
                    "view": fold_model.fitted.input_format,
                    "fold": fold_index,
                    "weight": part.weight / len(fold_models),
                }
            )
    return entries


def make_reference_profile(dataset: ModelingDataset, decisions: pl.DataFrame) -> Json:
    """What columns and predictions looked like, for telling drift later.

    Counts are those of rows that were not trained on; what is new is told by training rows. Where
    each row was judged by one of several members, their average says something else of it: then
    predictions have bins, but no counts that later ones may be compared with.

    Args:
        dataset: the rows that the model was developed on.
        decisions: what it says of rows that it was not trained on.
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
        "rows": len(held_out_positions), "columns": columns, "members": len(dataset.folds),
        "predicted": decisions.height, "predictions": predictions,
    }  # fmt: skip


def make_reference_loss(
    dataset: ModelingDataset, decisions: pl.DataFrame, sensitive_schema: Schema | None
) -> Json | None:
    """The loss on rows that the model was judged on, by groups; None of many labels at once."""
    if dataset.task.output == "labels":
        return None
    positions = decisions["position"].to_list()
    reference = performance.reference_loss(decisions, dataset.y[positions])
    losses = performance.bounded_losses(decisions, dataset.y[positions], reference["unit"])
    losses_by_group: Json = {}
    if sensitive_schema is not None:
        losses_by_group = performance.losses_by_group(
            losses, sensitive_schema.apply(dataset.frame[positions])
        )
        for column in sensitive_schema.columns:
            losses_by_group[column.name]["column"] = column.as_json()
    return {**reference, "groups": losses_by_group}


def check_parity(folder: Path, parts: Sequence[EnsemblePart], dataset: ModelingDataset) -> float:
    """Load a bundle and compare its predictions on judge rows with the trained model's.

    The rows are given as they were read, so reading, encoding and network are all compared.

    Returns:
        The largest difference of a probability, or of the standardised target.

    Raises:
        BundleError: a difference above 1e-5, or another decision.
    """
    bundle = load_bundle(folder)
    packaged_models = iter(bundle.models)
    max_difference = 0.0
    for part in parts:
        predictions_table = pl.read_parquet(part.folder / "predictions.parquet")
        evaluation_rows = predictions_table.filter(pl.col("part") == "judge")
        for fold_index in range(int(evaluation_rows["fold"].n_unique())):
            fold_rows = evaluation_rows.filter(pl.col("fold") == fold_index)
            name = f"{part.folder.name}, member {fold_index}"
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
    """The largest difference between what a packed member and the trained one say.

    Raises:
        BundleError: it is above 1e-5, or a decision is another.
    """
    trained_outputs = predictions_table.select(pl.col("^out_.*$")).to_numpy()
    frame = bundle.join_tables(dataset.frame[predictions_table["position"].to_list()])
    precomputed = packaged_model.encoders.precompute(bundle.schema.apply(frame))
    packaged_outputs = packaged_model.outputs(precomputed, bundle.task)
    target_std = float(packaged_model.target_scale.get("deviation", 1.0))
    difference = float(np.abs(packaged_outputs - trained_outputs).max(initial=0.0)) / target_std
    n_flipped = count_changed_decisions(bundle, packaged_outputs, trained_outputs)
    if not difference <= MAX_OUTPUT_DIFFERENCE or n_flipped:
        raise BundleError(
            "the packaged model does not predict what the trained model predicts",
            detail=f"{name}: largest difference {difference:.2g} "
            f"(allowed {MAX_OUTPUT_DIFFERENCE:g}), {n_flipped} of {len(packaged_outputs):,} decisions changed",
            hint="set model.learner to another learner, and please report this model",
        )
    return difference


def count_changed_decisions(bundle: Bundle, packaged_outputs: Array, trained_outputs: Array) -> int:
    """How many decisions are another, those within the tolerance of a tie left out."""
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
