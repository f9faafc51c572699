"""Fieldcraft itself: a project in the job's folder, run as it is; every learner predicts."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from job import Job

import fieldcraft
from fieldcraft import Project
from fieldcraft.bundle.members import load_member
from fieldcraft.bundle.rows import Development, load_development
from fieldcraft.core import catalogue, files
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import HeldError
from fieldcraft.project import file
from fieldcraft.report.story import Story

BLEND = "blend"


def ours(job: Job) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Outputs on the test rows and seconds of training, by learner.

    The project gets all rows that are not test rows as one table, divides them itself, seals
    none, and changes nothing about the data: findings that would hold the run are accepted.
    What this function knows of the inside: ``evaluation.json`` names the learners, ``model.json``
    in the folder of each says how it was made, and its members are loaded by `load_member`. A
    blend is the weighted mean of other learners (``weights`` by name); it takes their time too.
    """
    source = job.folder / "develop.parquet"
    project = Project.create(job.folder / "project", source, job.target, job.task)
    seeds = [Edit((section, "seed"), job.seed) for section in ("split", "train")]
    file.edit(project.folder.file, [Edit(("split", "test"), 0.0), *seeds])
    story = run_accepting(project)
    rows = load_development(story.folders["split"], story.settings)
    test = pl.read_parquet(job.folder / "test.parquet")
    learners = {entry["name"]: entry for entry in story.evaluation["learners"]}
    outputs, seconds = {}, {}
    for name, entry in learners.items():
        if name != BLEND:
            outputs[name] = predict(model_folder(story, name), rows, test)
            seconds[name] = float(entry["seconds"])
    if BLEND in learners:
        weights: Mapping[str, float] = learners[BLEND]["weights"]
        outputs[BLEND] = sum(weight * outputs[name] for name, weight in weights.items())
        seconds[BLEND] = sum(seconds[name] for name in weights)
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


def model_folder(story: Story, learner: str) -> Path:
    """The folder where a step left a learner's model."""
    places = (story.folders[step] / learner for step in ("train", "baseline"))
    return next(place for place in places if place.is_dir())


def predict(model: Path, rows: Development, test: pl.DataFrame) -> np.ndarray:
    """Outputs of a model on test rows: the mean of its members, calibrated on all tune rows."""
    said = files.read_json(model / "model.json")
    learner: Any = catalogue.load("learners", said["learner"])
    options = learner.options.model_validate(said["options"])
    values = rows.schema.apply(test)
    members = [
        load_member(learner, options, model / str(number), rows.task, rows.about)
        for number in range(said["members"])
    ]
    found = np.mean([member.outputs(values) for member in members], axis=0)
    tuned = pl.read_parquet(model / "predictions.parquet").filter(pl.col("part") == "tune")
    y = rows.y[tuned["position"].to_numpy()]
    calibration = rows.task.calibrate(tuned.select(pl.col("^out_.*$")).to_numpy(), y, rows.about)
    return rows.task.calibrated(found, calibration)


def main() -> None:
    """Run the job named on the command line."""
    job = Job.read(Path(sys.argv[1]))
    outputs, seconds = ours(job)
    versions = {name: version(name) for name in ("torch", "lightgbm", "scikit-learn")}
    said = {"seconds": seconds, "versions": {"fieldcraft": fieldcraft.__version__, **versions}}
    job.write(outputs, said)


if __name__ == "__main__":
    main()
