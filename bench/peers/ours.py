"""Fieldcraft itself: a project in the job's folder, run as it is; every learner predicts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from job import Job

import fieldcraft
from fieldcraft import Project
from fieldcraft.core import files
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import HeldError
from fieldcraft.develop.candidate import load_candidate, models_in
from fieldcraft.develop.rows import Development, load_development
from fieldcraft.develop.write import members_of, parts_of
from fieldcraft.project import file
from fieldcraft.report.story import Story


def ours(job: Job) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Outputs on the test rows and seconds of training, by learner.

    The project gets all rows that are not test rows as one table and divides them itself, by lot
    as the test rows were drawn (it would rather go by time where there is one). It seals none and
    changes nothing about the data: findings that would hold the run are accepted.
    A blend takes the time of all its parts; where none was better, its place is taken by the model
    that was the best on tune rows.
    """
    source = job.folder / "develop.parquet"
    project = Project.create(job.folder / "project", source, job.target, job.task)
    seeds = [Edit((section, "seed"), job.seed) for section in ("split", "train")]
    drawn = [Edit(("split", "test"), 0.0), Edit(("split", "rule"), "stratified")]
    file.edit(project.folder.file, [*drawn, *seeds])
    story = run_accepting(project)
    rows = load_development(story.folders["split"], story.settings)
    test = pl.read_parquet(job.folder / "test.parquet")
    places = models_in({step: story.folders[step] for step in ("baseline", "train", "blend")})
    outputs = {name: predict(name, places, rows, test) for name in places}
    seconds = {name: files.read_json(p / "model.json")["seconds"] for name, p in places.items()}
    if "blend" not in places:
        parts = files.read_json(story.folders["blend"] / "outcome.json")["summary"]["parts"]
        (best,) = parts
        outputs["blend"], seconds["blend"] = outputs[best], seconds[best]
    classes = [list(rows.about.get("classes", ())).index(label) for label in job.labels]
    return {name: found[:, classes or [0]] for name, found in outputs.items()}, seconds


def run_accepting(project: Project) -> Story:
    """Run a project to its end; each finding that holds it is accepted by name."""
    while True:
        try:
            return project.run()
        except HeldError:
            accepted = set(project.folder.settings().audit.accept)
            held = {f.name for f in project.findings() if f.severity == "stop"} - accepted
            if not held:
                raise
            names = [Edit(("audit", "accept"), name, add=True) for name in sorted(held)]
            file.edit(project.folder.file, names)


def predict(
    name: str, places: Mapping[str, Path], rows: Development, test: pl.DataFrame
) -> np.ndarray:
    """Outputs of a model on test rows, as its bundle would give them."""
    values = rows.schema.apply(test)
    total = 0.0
    for part in parts_of(places[name], places):
        members = members_of(part, rows)
        total += part.weight * np.mean([member.outputs(values) for member in members], axis=0)
    return rows.task.calibrated(np.asarray(total), load_candidate(places[name], rows).calibration)


def main() -> None:
    """Run the job named on the command line."""
    job = Job.read(Path(sys.argv[1]))
    outputs, seconds = ours(job)
    versions = {name: version(name) for name in ("torch", "lightgbm", "scikit-learn")}
    said = {"seconds": seconds, "versions": {"fieldcraft": fieldcraft.__version__, **versions}}
    job.write(outputs, said)


if __name__ == "__main__":
    main()
