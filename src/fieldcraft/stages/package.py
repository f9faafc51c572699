"""Put the champion into a bundle that predicts without PyTorch and without the project."""

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

ALERT_CHANNEL_FIELDS = {
    "server",
    "file",
    "command",
    "webhook",
}  # whom a watch asks and tells: a bundle is data


def package(context: StageContext) -> Json:
    """Export the champion, prove its parity, and see that it lives within its limits."""
    dataset = load_dataset(context.inputs["split"], context.settings)
    evaluation = files.read_json(context.inputs["evaluate"] / "evaluation.json")
    champion = evaluation["champion"]
    model_folders = find_models(
        {name: context.inputs[name] for name in ("baseline", "train", "blend")}
    )
    components = load_ensemble_parts(model_folders[champion], model_folders)
    dataset = restrict_columns(components, dataset)
    metadata = files.read_json(model_folders[champion] / "model.json")
    bundle_folder = context.out / "bundle"
    shutil.rmtree(bundle_folder, ignore_errors=True)
    bundle_folder.mkdir()
    problem, data = context.settings.problem, context.settings.data
    manifest = write_bundle(
        bundle_folder,
        components,
        dataset,
        pl.read_parquet(context.inputs["evaluate"] / "judge.parquet"),
        schema_of_columns(context.settings, problem.sensitive_features)
        if problem.sensitive_features
        else None,
        {
            "learner": champion,
            "title": metadata["title"],
            "targets": list(problem.targets),
            "question": problem.description,
            "names": list(data.columns) if data.column_names else [],
            "id": data.id_column,
            "filter": data.filter,
            "tables": write_tables(bundle_folder, context),
            "calibration": evaluation["calibration"],
            "calibrations": evaluation["calibrations"],
            "serve": context.settings.deploy.serve.model_dump(mode="json"),
            "watch": context.settings.deploy.monitor.model_dump(
                mode="json", exclude=ALERT_CHANNEL_FIELDS
            ),
            "importance": files.read_json(context.inputs["explain"] / "importance.json"),
            "lineage": {
                "data": dataset.digest,
                "split": context.inputs["split"].name,
                "evaluation": context.inputs["evaluate"].name,
            },
        },
        context.on_progress,
    )
    context.on_progress("comparing predictions with the trained model", None)
    max_difference = check_parity(bundle_folder, components, dataset)
    context.on_progress("measuring speed and size", None)
    limits = check_limits(bundle_folder, dataset.frame, context.settings.deploy)
    context.log_record("decision", {
        "decision": "packaged", "learner": champion, "model_id": manifest["model_id"],
        "parity": max_difference, "limits": limits,
    })  # fmt: skip
    return {"model_id": manifest["model_id"], "parity": max_difference, "limits": limits}


def write_tables(bundle_folder: Path, context: StageContext) -> list[Json]:
    """Put the joined tables into a bundle; what the manifest says of them."""
    entries = []
    for number, (_, table, key_columns) in enumerate(
        read_joined_tables(context.project, context.settings)
    ):
        path = bundle_folder / "tables" / f"{number}.parquet"
        path.parent.mkdir(exist_ok=True)
        table.write_parquet(path)
        entries.append({"file": f"tables/{number}.parquet", "on": key_columns})
    return entries


STAGE = Stage(
    "package",
    "Put the champion into a bundle that predicts without PyTorch.",
    package,
    config_sections=("problem", "data", "clean", "deploy"),
    version=7,
)
