"""Fieldcraft: a project with default settings in the folder of the job; all models predict."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from job import PeerJob

import fieldcraft
from fieldcraft import Project
from fieldcraft.core import files
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.core.errors import BlockedByFindingsError
from fieldcraft.modeling.candidate import find_models, load_candidate
from fieldcraft.modeling.dataset import ModelingDataset, load_dataset
from fieldcraft.modeling.packaging import load_ensemble_parts, load_fold_models
from fieldcraft.project import project_file
from fieldcraft.report.report_data import ReportData


def run_fieldcraft(job: PeerJob) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return outputs on the test rows and training seconds, by model.

    The project gets all rows that are not test rows as one table and splits them itself, at random
    like the test rows (by default it would split a time series by time). It seals no rows and does
    not change the data: findings that would block the run are accepted.
    The time of an ensemble is that of all its models; if no ensemble is better, the model with the
    best validation metric takes its place.
    """
    source = job.folder / "develop.parquet"
    project = Project.create(job.folder / "project", source, job.target, job.task)
    seeds = [ConfigEdit((section, "seed"), job.seed) for section in ("split", "train")]
    split_edits = [
        ConfigEdit(("split", "test"), 0.0),
        ConfigEdit(("split", "strategy"), "stratified"),
    ]
    project_file.apply_edits(project.folder.file_path, [*split_edits, *seeds])
    report_data = run_accepting_findings(project)
    rows = load_dataset(report_data.folders["split"], report_data.settings)
    test = pl.read_parquet(job.folder / "test.parquet")
    model_folders = find_models(
        {step: report_data.folders[step] for step in ("baseline", "train", "ensemble")}
    )
    outputs = {name: predict(name, model_folders, rows, test) for name in model_folders}
    seconds = {
        name: files.read_json(folder / "model.json")["fit_seconds"]
        for name, folder in model_folders.items()
    }
    if "ensemble" not in model_folders:
        result = files.read_json(report_data.folders["ensemble"] / "result.json")
        (best,) = result["summary"]["weights"]
        outputs["ensemble"], seconds["ensemble"] = outputs[best], seconds[best]
    classes = [list(rows.target_spec.get("classes", ())).index(label) for label in job.labels]
    return {
        name: model_outputs[:, classes or [0]] for name, model_outputs in outputs.items()
    }, seconds


def run_accepting_findings(project: Project) -> ReportData:
    """Run a project to its end, accepting each finding that blocks it."""
    while True:
        try:
            return project.run()
        except BlockedByFindingsError:
            accepted = set(project.folder.load_settings().audit.accept)
            blocking = {
                f.accept_key for f in project.findings() if f.severity == "error"
            } - accepted
            if not blocking:
                raise
            names = [
                ConfigEdit(("audit", "accept"), name, append=True) for name in sorted(blocking)
            ]
            project_file.apply_edits(project.folder.file_path, names)


def predict(
    name: str, model_folders: Mapping[str, Path], rows: ModelingDataset, test: pl.DataFrame
) -> np.ndarray:
    """Return the outputs of a model on test rows, as its bundle would."""
    values = rows.schema.apply(test)
    total = 0.0
    for part in load_ensemble_parts(model_folders[name], model_folders):
        members = load_fold_models(part, rows)
        total += part.weight * np.mean([member.outputs(values) for member in members], axis=0)
    return rows.task.apply_calibration(
        np.asarray(total), load_candidate(model_folders[name], rows).calibration
    )


def main() -> None:
    """Run the job given on the command line."""
    job = PeerJob.read(Path(sys.argv[1]))
    outputs, seconds = run_fieldcraft(job)
    versions = {name: version(name) for name in ("torch", "lightgbm", "scikit-learn")}
    details = {"seconds": seconds, "versions": {"fieldcraft": fieldcraft.__version__, **versions}}
    job.write(outputs, details)


if __name__ == "__main__":
    main()
