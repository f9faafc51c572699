"""Compute feature importance and explain single predictions of the champion.

Folder of the stage::

    feature_importance.json    permutation importance of each column
    kind_importance.json       permutation importance of each kind; empty if all are of one kind
    explanations.json          local explanations of the evaluation rows with the largest errors
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from fieldcraft.contracts import Stage
from fieldcraft.core import files, seeds
from fieldcraft.core.types import Json
from fieldcraft.modeling.candidate import find_models, fit_fold_calibration
from fieldcraft.modeling.dataset import TARGET_SECTIONS, ModelingDataset, load_dataset
from fieldcraft.modeling.feature_importance import (
    PermutationImportance,
    WeightedEnsemble,
    compute_feature_importance,
    compute_kind_importance,
)
from fieldcraft.modeling.local_explanations import explain_rows
from fieldcraft.modeling.packaging import load_ensemble_parts, load_fold_models, restrict_columns
from fieldcraft.project.context import StageContext


def explain(context: StageContext) -> Json:
    """Measure feature importance on the evaluation rows and explain the largest errors."""
    dataset = load_dataset(context.inputs["split"], context.settings)
    evaluation = files.read_json(context.inputs["evaluate"] / "evaluation.json")
    metric = next(
        task_metric
        for task_metric in dataset.task.metrics
        if task_metric.name == evaluation["metric"]
    )
    model_folders = find_models(
        {name: context.inputs[name] for name in ("baseline", "train", "ensemble")}
    )
    champion = model_folders[evaluation["champion"]]
    dataset = restrict_columns(load_ensemble_parts(champion, model_folders), dataset)
    model = load_weighted_ensemble(champion, model_folders, dataset, evaluation["calibration"])
    permutation = PermutationImportance(
        model, dataset, metric, seeds.derive_seed(context.settings.train.seed, "importance")
    )
    importance = compute_feature_importance(permutation, context.on_progress)
    kind_importance = compute_kind_importance(permutation, importance, context.on_progress)
    positions = [row["position"] for row in evaluation["largest_errors"]]
    explanations = explain_rows(
        split_by_fold(model, champion, dataset), dataset, positions, context.on_progress
    )
    files.atomic_write_json(context.out / "feature_importance.json", importance)
    files.atomic_write_json(context.out / "kind_importance.json", kind_importance)
    files.atomic_write_json(context.out / "explanations.json", explanations)
    for item in importance:
        context.log_record("feature_importance", {"metric": metric.name, **item})
    for item in kind_importance:
        context.log_record("kind_importance", {"metric": metric.name, **item})
    return {"top_columns": [item["column"] for item in importance[:3]]}


def load_weighted_ensemble(
    folder: Path, model_folders: dict[str, Path], dataset: ModelingDataset, calibration: Json
) -> WeightedEnsemble:
    """Load the fold models of a model, grouped by fold."""
    components = load_ensemble_parts(folder, model_folders)
    members_by_component = [
        [(member, component.weight) for member in load_fold_models(component, dataset)]
        for component in components
    ]
    # From one list per model, over its folds, to one list per fold, over the models.
    return WeightedEnsemble(list(zip(*members_by_component, strict=True)), calibration)


def split_by_fold(
    model: WeightedEnsemble, folder: Path, dataset: ModelingDataset
) -> list[WeightedEnsemble]:
    """The ensemble of each fold, with the calibration of that fold.

    An explanation must refer to the score that the report shows for the row, so it needs the
    calibration of its fold rather than that of the bundle.
    """
    table = pl.read_parquet(folder / "predictions.parquet")
    return [
        WeightedEnsemble([members], fit_fold_calibration(table, dataset, fold_index))
        for fold_index, members in enumerate(model.members_by_fold)
    ]


STAGE = Stage(
    "explain",
    "Compute feature importance and explain single predictions.",
    explain,
    config_sections=(*TARGET_SECTIONS, "data", "clean", "train.seed"),
    version=6,
)
