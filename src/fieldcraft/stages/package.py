"""Put the champion into a bundle that predicts without PyTorch and without the project."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl

from fieldcraft.bundle.limits import check_limits
from fieldcraft.contracts import Json, Stage
from fieldcraft.core import files
from fieldcraft.develop.candidate import models_in
from fieldcraft.develop.rows import columns_of, joined_tables, load_development
from fieldcraft.develop.write import check_parity, parts_of, used_by, write_bundle
from fieldcraft.project.work import Work

TOLD = {"server", "file", "command", "webhook"}  # whom a watch asks and tells: a bundle is data


def package(work: Work) -> Json:
    """Export the champion, prove its parity, and see that it lives within its limits."""
    rows = load_development(work.inputs["split"], work.settings)
    evaluation = files.read_json(work.inputs["evaluate"] / "evaluation.json")
    champion = evaluation["champion"]
    places = models_in({name: work.inputs[name] for name in ("baseline", "train", "blend")})
    parts = parts_of(places[champion], places)
    rows = used_by(parts, rows)
    described = files.read_json(places[champion] / "model.json")
    bundle = work.out / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)
    bundle.mkdir()
    problem, data = work.settings.problem, work.settings.data
    manifest = write_bundle(
        bundle,
        parts,
        rows,
        pl.read_parquet(work.inputs["evaluate"] / "judge.parquet"),
        columns_of(work.settings, problem.groups) if problem.groups else None,
        {
            "learner": champion,
            "title": described["title"],
            "targets": list(problem.targets),
            "question": problem.question,
            "names": list(data.columns) if data.names else [],
            "id": data.id,
            "filter": data.filter,
            "tables": write_tables(bundle, work),
            "calibration": evaluation["calibration"],
            "calibrations": evaluation["calibrations"],
            "serve": work.settings.deploy.serve.model_dump(mode="json"),
            "watch": work.settings.deploy.watch.model_dump(mode="json", exclude=TOLD),
            "importance": files.read_json(work.inputs["explain"] / "importance.json"),
            "lineage": {
                "data": rows.digest,
                "split": work.inputs["split"].name,
                "evaluation": work.inputs["evaluate"].name,
            },
        },
        work.progress,
    )
    work.progress("comparing predictions with the trained model", None)
    difference = check_parity(bundle, parts, rows)
    work.progress("measuring speed and size", None)
    limits = check_limits(bundle, rows.frame, work.settings.deploy)
    work.record("decision", {
        "decision": "packaged", "learner": champion, "model_id": manifest["model_id"],
        "parity": difference, "limits": limits,
    })  # fmt: skip
    return {"model_id": manifest["model_id"], "parity": difference, "limits": limits}


def write_tables(bundle: Path, work: Work) -> list[Json]:
    """Put the joined tables into a bundle; what the manifest says of them."""
    found = []
    for number, (_, table, on) in enumerate(joined_tables(work.project, work.settings)):
        path = bundle / "tables" / f"{number}.parquet"
        path.parent.mkdir(exist_ok=True)
        table.write_parquet(path)
        found.append({"file": f"tables/{number}.parquet", "on": on})
    return found


STAGE = Stage(
    "package",
    "Put the champion into a bundle that predicts without PyTorch.",
    package,
    sections=("problem", "data", "clean", "deploy"),
    version=7,
)
