"""Fieldcraft itself: a project in the job's folder, run as it is; every learner predicts."""

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
    """Outputs on the test rows and seconds of training, by learner.

    The project gets all rows that are not test rows as one table and divides them itself, by lot
    as the test rows were drawn (it would rather go by time where there is one). It seals none and
    changes nothing about the data: findings that would hold the run are accepted.
    An ensemble takes the time of all its parts; where none was better, the model takes its place
    that was the best on the validation rows.
    """
    source = job.folder / "develop.parquet"
    project = Project.create(job.folder / "project", source, job.target, job.task)
    seeds = [ConfigEdit((section, "seed"), job.seed) for section in ("split", "train")]
    drawn = [ConfigEdit(("split", "test"), 0.0), ConfigEdit(("split", "strategy"), "stratified")]
    project_file.apply_edits(project.folder.file_path, [*drawn, *seeds])
    story = run_accepting_findings(project)
    rows = load_dataset(story.folders["split"], story.settings)
    test = pl.read_parquet(job.folder / "test.parquet")
    places = find_models({step: story.folders[step] for step in ("baseline", "train", "ensemble")})
    outputs = {name: predict(name, places, rows, test) for name in places}
    seconds = {name: files.read_json(p / "model.json")["fit_seconds"] for name, p in places.items()}
    if "ensemble" not in places:
        result = files.read_json(story.folders["ensemble"] / "result.json")
        (best,) = result["summary"]["weights"]
        outputs["ensemble"], seconds["ensemble"] = outputs[best], seconds[best]
    classes = [list(rows.target_spec.get("classes", ())).index(label) for label in job.labels]
    return {
        name: model_outputs[:, classes or [0]] for name, model_outputs in outputs.items()
    }, seconds


def run_accepting_findings(project: Project) -> ReportData:
    """Run a project to its end; each finding that holds it is accepted by name."""
    while True:
        try:
            return project.run()
        except BlockedByFindingsError:
            accepted = set(project.folder.load_settings().audit.accept)
            held = {f.accept_key for f in project.findings() if f.severity == "error"} - accepted
            if not held:
                raise
            names = [ConfigEdit(("audit", "accept"), name, append=True) for name in sorted(held)]
            project_file.apply_edits(project.folder.file_path, names)


def predict(
    name: str, places: Mapping[str, Path], rows: ModelingDataset, test: pl.DataFrame
) -> np.ndarray:
    """Outputs of a model on test rows, as its bundle would give them."""
    values = rows.schema.apply(test)
    total = 0.0
    for part in load_ensemble_parts(places[name], places):
        members = load_fold_models(part, rows)
        total += part.weight * np.mean([member.outputs(values) for member in members], axis=0)
    return rows.task.apply_calibration(
        np.asarray(total), load_candidate(places[name], rows).calibration
    )


def main() -> None:
    """Run the job named on the command line."""
    job = PeerJob.read(Path(sys.argv[1]))
    outputs, seconds = run_fieldcraft(job)
    versions = {name: version(name) for name in ("torch", "lightgbm", "scikit-learn")}
    details = {"seconds": seconds, "versions": {"fieldcraft": fieldcraft.__version__, **versions}}
    job.write(outputs, details)


if __name__ == "__main__":
    main()
