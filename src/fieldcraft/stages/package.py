"""Package the champion as a bundle that predicts without PyTorch and without the project."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from fieldcraft.bundle.deployment_limits import check_limits
from fieldcraft.contracts import Stage
from fieldcraft.core import files
from fieldcraft.core.types import Json
from fieldcraft.modeling.candidate import find_models
from fieldcraft.modeling.dataset import load_dataset, read_joined_tables, schema_of_columns
from fieldcraft.modeling.packaging import (
    check_parity,
    load_ensemble_parts,
    restrict_columns,
    write_bundle,
)
from fieldcraft.project.context import StageContext

# Kept out of the manifest: others may load a bundle, and these entries would make their
# `fieldcraft monitor` run a command or send alerts.
ALERT_CHANNEL_FIELDS = {"metrics_url", "alert_file", "alert_command", "alert_webhook"}


def package(context: StageContext) -> Json:
    """Export the champion, verify that its outputs are unchanged, and check the deploy limits."""
    dataset = load_dataset(context.inputs["split"], context.settings)
    evaluation = files.read_json(context.inputs["evaluate"] / "evaluation.json")
    champion = evaluation["champion"]
    model_folders = find_models(
        {name: context.inputs[name] for name in ("baseline", "train", "ensemble")}
    )
    components = load_ensemble_parts(model_folders[champion], model_folders)
    dataset = restrict_columns(components, dataset)
    metadata = files.read_json(model_folders[champion] / "model.json")
    bundle_folder = context.out / "bundle"
    # An interrupted run may have left a partial bundle, whose files would become part of this one.
    shutil.rmtree(bundle_folder, ignore_errors=True)
    bundle_folder.mkdir()
    problem, data = context.settings.problem, context.settings.data
    manifest = write_bundle(
        bundle_folder,
        components,
        dataset,
        pl.read_parquet(context.inputs["evaluate"] / "evaluation_predictions.parquet"),
        schema_of_columns(context.settings, problem.sensitive_features)
        if problem.sensitive_features
        else None,
        {
            "model": champion,
            "title": metadata["title"],
            "targets": list(problem.targets),
            "description": problem.description,
            "column_names": list(data.columns) if data.column_names else [],
            "id_column": data.id_column,
            "filter": data.filter,
            "tables": write_tables(bundle_folder, context),
            "calibration": evaluation["calibration"],
            "fold_calibrations": evaluation["fold_calibrations"],
            "serve": context.settings.deploy.serve.model_dump(mode="json"),
            "monitor": context.settings.deploy.monitor.model_dump(
                mode="json", exclude=ALERT_CHANNEL_FIELDS
            ),
            "feature_importance": files.read_json(
                context.inputs["explain"] / "feature_importance.json"
            ),
            "lineage": {
                "data_digest": dataset.digest,
                "split_key": context.inputs["split"].name,
                "evaluation_key": context.inputs["evaluate"].name,
            },
        },
        context.on_progress,
    )
    context.on_progress("comparing predictions with the trained model", None)
    max_difference = check_parity(bundle_folder, components, dataset)
    context.on_progress("measuring latency and size", None)
    limits = check_limits(bundle_folder, dataset.frame, context.settings.deploy)
    context.log_record("decision", {
        "decision": "packaged", "learner": champion, "model_id": manifest["model_id"],
        "max_output_difference": max_difference, "limits": limits,
    })  # fmt: skip
    return {
        "model_id": manifest["model_id"],
        "max_output_difference": max_difference,
        "limits": limits,
    }


def write_tables(bundle_folder: Path, context: StageContext) -> list[Json]:
    """Write the joined tables into a bundle; returns their entries in the manifest."""
    entries = []
    for number, (_, table, key_columns) in enumerate(
        read_joined_tables(context.project, context.settings)
    ):
        path = bundle_folder / "tables" / f"{number}.parquet"
        path.parent.mkdir(exist_ok=True)
        table.write_parquet(path)
        entries.append({"file": f"tables/{number}.parquet", "keys": key_columns})
    return entries


STAGE = Stage(
    "package",
    "Package the champion as a bundle that predicts without PyTorch.",
    package,
    config_sections=("problem", "data", "clean", "deploy"),
    version=8,
)
