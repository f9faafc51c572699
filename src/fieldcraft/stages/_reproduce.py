"""Reproduce a finished run from the data and compare the results."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.core import files
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import ProjectError
from fieldcraft.core.types import Json
from fieldcraft.data.location import resolve_address
from fieldcraft.ledger.store import Ledger
from fieldcraft.modeling.candidate import find_models
from fieldcraft.project import project_file
from fieldcraft.project.folder import ProjectFolder
from fieldcraft.stages import _pipeline

MODEL_STEPS = ("baseline", "train", "ensemble")


def reproduce(project: ProjectFolder, callbacks: _pipeline.RunCallbacks) -> list[Json]:
    """Rerun a copy of the project with the timing-dependent choices of the first run, and compare.

    Returns:
        For the split, each model, the metrics and the bundle: ``part``, ``identical`` and
        ``max_output_difference`` (None unless the outputs of a model differ).

    Raises:
        ProjectError: there is no complete run with the current project file and data.
    """
    original_folders = {
        step.name: project.run_folder(step.name, key) for step, key in list_step_keys(project)
    }
    missing_steps = [name for name, folder in original_folders.items() if not folder.exists()]
    if missing_steps:
        raise ProjectError(
            "there is no finished run to reproduce",
            detail=f"not run with the current project file and data: {', '.join(missing_steps)}",
            hint="run it first: fieldcraft run",
        )
    with tempfile.TemporaryDirectory(prefix=".reproduce-", dir=project.root) as temporary_folder:
        copied_project = copy_project(project, Path(temporary_folder))
        write_runtime_configs(
            original_folders["train"], partial_step_folder(copied_project, "train")
        )
        rerun = _pipeline.run_steps(copied_project, callbacks)
        comparisons = compare_runs(original_folders, rerun.folders)
    is_identical = all(item["identical"] for item in comparisons)
    body = {"decision": "reproduced", "identical": is_identical, "parts": comparisons}
    Ledger(project.ledger_path).append([("decision", "reproduce", "", body)])
    return comparisons


def list_step_keys(project: ProjectFolder) -> list[tuple[_pipeline.Step, str]]:
    """All steps with their current keys."""
    return _pipeline.step_keys(project, project.load_settings(), None)


def copy_project(project: ProjectFolder, folder: Path) -> ProjectFolder:
    """Copy the project file into another folder, with absolute paths of the data sources."""
    copied_project = ProjectFolder(folder)
    files.atomic_write_text(copied_project.file_path, project.file_path.read_text(encoding="utf-8"))
    settings = project.load_settings()
    source: Any = settings.data.source
    if isinstance(source, str):
        absolute_source: Any = str(resolve_address(source, project.root))
    else:
        source_files = source.model_dump(exclude_none=True)
        absolute_source = {
            name: str(resolve_address(path, project.root)) for name, path in source_files.items()
        }
    edits = [ConfigEdit(("data", "source"), absolute_source)]
    if settings.data.join:
        joins = [item.model_dump(exclude_defaults=True) for item in settings.data.join]
        absolute_joins = [
            {**item, "source": str(resolve_address(item["source"], project.root))} for item in joins
        ]
        edits.append(ConfigEdit(("data", "join"), absolute_joins))
    project_file.apply_edits(copied_project.file_path, edits)
    return copied_project


def partial_step_folder(project: ProjectFolder, name: str) -> Path:
    """The folder that a step will write to."""
    return next(
        project.partial_folder(step.name, key)
        for step, key in list_step_keys(project)
        if step.name == name
    )


def write_runtime_configs(training_folder: Path, target_folder: Path) -> None:
    """Make a training repeat the timing-dependent choices of an earlier one.

    Precision, threads and the number of epochs depend on measured time. A training that finds a
    runtime config beside its checkpoints uses it instead of measuring again.
    """
    for path in training_folder.glob("*/*/model.json"):
        curves = files.read_json(path).get("learning_curves")
        if curves:
            runtime_config = {name: curves[name] for name in ("precision", "threads")}
            # The learning-rate schedule spans all planned epochs; training may stop earlier.
            runtime_config["exact_epochs"] = len(curves["train_losses"])
            runtime_config["schedule_epochs"] = curves["training_settings"]["epochs"]
            member_folder = path.parent.relative_to(training_folder)
            files.atomic_write_json(
                target_folder / member_folder / "checkpoints" / "runtime_config.json",
                runtime_config,
            )


def compare_runs(
    original_folders: Mapping[str, Path], rerun_folders: Mapping[str, Path]
) -> list[Json]:
    """Compare two runs part by part."""
    digests = [
        files.read_json(folders["split"] / "metadata.json")["digests"]
        for folders in (original_folders, rerun_folders)
    ]
    comparisons: list[Json] = [comparison_to_json("split", digests[0] == digests[1])]
    original_models, rerun_models = (
        find_models({step: folders[step] for step in MODEL_STEPS})
        for folders in (original_folders, rerun_folders)
    )
    comparisons += [
        compare_model(name, original_models.get(name), rerun_models.get(name))
        for name in original_models | rerun_models
    ]
    evaluations = [
        files.read_json(folders["evaluate"] / "evaluation.json")
        for folders in (original_folders, rerun_folders)
    ]
    for evaluation in evaluations:
        for model in evaluation["models"]:
            model.pop("fit_seconds")  # differs from run to run
    comparisons.append(comparison_to_json("metrics", evaluations[0] == evaluations[1]))
    model_ids = [
        read_manifest(folders["package"] / "bundle")["model_id"]
        for folders in (original_folders, rerun_folders)
    ]
    comparisons.append(comparison_to_json("bundle", model_ids[0] == model_ids[1]))
    return comparisons


def comparison_to_json(part: str, identical: bool, difference: float | None = None) -> Json:
    """One compared part as JSON."""
    return {"part": part, "identical": identical, "max_output_difference": difference}


def compare_model(name: str, original_folder: Path | None, rerun_folder: Path | None) -> Json:
    """Compare the outputs of a model in two runs; a model that exists in only one run differs."""
    if original_folder is None or rerun_folder is None:
        return comparison_to_json(name, False)
    tables = [
        pl.read_parquet(folder / "predictions.parquet")
        for folder in (original_folder, rerun_folder)
    ]
    is_identical = tables[0].equals(tables[1])
    outputs = [frame.select(pl.col("^output_.*$")).to_numpy() for frame in tables]
    if is_identical or outputs[0].shape != outputs[1].shape:
        return comparison_to_json(name, is_identical)
    max_difference = float(np.abs(outputs[0] - outputs[1]).max(initial=0.0))
    return comparison_to_json(name, False, max_difference)
