"""Do a finished run over again from the data, and see whether the same comes out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.manifest import read_manifest
from fieldcraft.contracts import Json
from fieldcraft.core import files
from fieldcraft.core.edit import Edit
from fieldcraft.core.errors import ProjectError
from fieldcraft.data.read import located
from fieldcraft.develop.candidate import models_in
from fieldcraft.evidence.ledger import Ledger
from fieldcraft.project import file
from fieldcraft.project.folder import Folder
from fieldcraft.stages import _plan

TRAINING = ("baseline", "train", "blend")


def reproduce(project: Folder, watcher: _plan.Watcher) -> list[Json]:
    """Run the project again in a folder of its own; what was decided by the clock is replayed.

    Returns:
        For the split, each model, the evaluation and the bundle whether they are the same, and the
        largest difference between outputs where they are not.

    Raises:
        ProjectError: the project was not run to its end with its present file and data.
    """
    before = {step.name: project.run(step.name, key) for step, key in steps(project)}
    undone = [name for name, folder in before.items() if not folder.exists()]
    if undone:
        raise ProjectError(
            "there is no finished run to reproduce",
            seen=f"not done with the present file and data: {', '.join(undone)}",
            way_out="run it first: fieldcraft run",
        )
    with tempfile.TemporaryDirectory(prefix=".reproduce-", dir=project.root) as place:
        again = copy_project(project, Path(place))
        replay(before["train"], partial_of(again, "train"))
        outcome = _plan.run(again, watcher)
        found = compare(before, outcome.folders)
    same = all(item["same"] for item in found)
    body = {"decision": "reproduced", "same": same, "parts": found}
    Ledger(project.ledger).append([("decision", "reproduce", "", body)])
    return found


def steps(project: Folder) -> list[tuple[_plan.Step, str]]:
    """All steps with their present keys."""
    return _plan.keyed(project, project.settings(), None)


def copy_project(project: Folder, place: Path) -> Folder:
    """A project of the same file in another folder, its sources named by their full paths."""
    again = Folder(place)
    files.write_text(again.file, project.file.read_text(encoding="utf-8"))
    settings = project.settings()
    source: Any = settings.data.source
    if isinstance(source, str):
        wanted: Any = str(located(source, project.root))
    else:
        named = source.model_dump(exclude_none=True)
        wanted = {part: str(located(path, project.root)) for part, path in named.items()}
    edits = [Edit(("data", "source"), wanted)]
    if settings.data.join:
        joins = [item.model_dump(exclude_defaults=True) for item in settings.data.join]
        moved = [{**item, "source": str(located(item["source"], project.root))} for item in joins]
        edits.append(Edit(("data", "join"), moved))
    file.edit(again.file, edits)
    return again


def partial_of(project: Folder, name: str) -> Path:
    """The folder that a step will fill."""
    return next(
        project.partial(step.name, key) for step, key in steps(project) if step.name == name
    )


def replay(trained: Path, place: Path) -> None:
    """Lay out for a training what the clock decided in an earlier one."""
    for path in trained.glob("*/*/model.json"):
        curves = files.read_json(path).get("curves")
        if curves:
            decided = {name: curves[name] for name in ("precision", "threads")}
            decided["epochs"] = len(curves["train_losses"])
            decided["horizon"] = curves["training"]["epochs"]
            inside = path.parent.relative_to(trained)
            files.write_json(place / inside / "checkpoints" / "decisions.json", decided)


def compare(before: Mapping[str, Path], after: Mapping[str, Path]) -> list[Json]:
    """What is the same in two runs, part by part."""
    digests = [files.read_json(run["split"] / "about.json")["digests"] for run in (before, after)]
    found: list[Json] = [{"part": "split", "same": digests[0] == digests[1], "difference": None}]
    models, again = (models_in({n: run[n] for n in TRAINING}) for run in (before, after))
    found += [compare_model(name, models.get(name), again.get(name)) for name in models | again]
    figures = [files.read_json(run["evaluate"] / "evaluation.json") for run in (before, after)]
    for figure in figures:
        for learner in figure["learners"]:
            learner.pop("seconds")  # the clock's
    found.append({"part": "figures", "same": figures[0] == figures[1], "difference": None})
    ids = [read_manifest(run["package"] / "bundle")["model_id"] for run in (before, after)]
    found.append({"part": "bundle", "same": ids[0] == ids[1], "difference": None})
    return found


def compare_model(name: str, before: Path | None, after: Path | None) -> Json:
    """Whether a model says the same in two runs; in one of them it may not be there."""
    if before is None or after is None:
        return {"part": name, "same": False, "difference": None}
    pair = [pl.read_parquet(place / "predictions.parquet") for place in (before, after)]
    same = pair[0].equals(pair[1])
    outputs = [frame.select(pl.col("^out_.*$")).to_numpy() for frame in pair]
    if same or outputs[0].shape != outputs[1].shape:
        return {"part": name, "same": same, "difference": None}
    gap = float(np.abs(outputs[0] - outputs[1]).max(initial=0.0))
    return {"part": name, "same": False, "difference": gap}
