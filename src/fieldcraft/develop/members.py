"""A model and its members: one learner fitted on each fold, with the encoders of that fold.

Folder of a model::

    model.json             learner, options, number of members, seconds; columns if not all
    predictions.parquet    outputs on tune and judge rows: position, fold, part, out_0, out_1, ...
    <fold>/encoders.*      what the encoders learned
    <fold>/model.*         what the learner learned
    <fold>/scale.json      how the target was scaled
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.bundle.encoders import EncoderSet, load_state, save_state
from fieldcraft.contracts import Array, Brief, Encoded, Fitted, Job, Json, Learner, Task
from fieldcraft.core import files, seeds
from fieldcraft.data.split import Fold
from fieldcraft.develop.rows import Development

Tell = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Member:
    """A fitted model with the encoders and the target's scale of its fold."""

    encoders: EncoderSet
    fitted: Fitted
    scale: Json
    task: Task

    def outputs(self, values: pl.DataFrame) -> Array:
        """Outputs for parsed rows, in units of the target."""
        found = [
            self.fitted.outputs(self.encoders.transform(self.encoders.read(piece)))
            for piece in self.encoders.pieces(values)
        ]
        return self.task.unscaled(np.concatenate(found), self.scale)


@dataclass(frozen=True)
class Effort:
    """How much a fit may take, and where it stands."""

    seed: int = 0
    budget: float | None = None
    device: str = "auto"
    tell: Tell = lambda text, share: None


def fit_members(
    learner: Learner, options: Any, rows: Development, folder: Path, effort: Effort,
    further: Mapping[str, Any] | None = None,
) -> Json:  # fmt: skip
    """Fit a learner on each fold and write everything it learned.

    Folds that an earlier, killed run finished are left as they are; an unfinished one goes on
    from its checkpoint.

    Args:
        learner: that is fitted.
        options: its settings.
        rows: with their folds.
        folder: of the model.
        effort: how much it may take.
        further: entries of ``model.json``, such as another title.

    Returns:
        What ``model.json`` says.
    """
    start = time.monotonic()
    done = 0.0
    for number, fold in enumerate(rows.folds):
        place = folder / str(number)
        if (place / "done.json").exists():
            done += files.read_json(place / "done.json")["seconds"]
            continue
        left = len(rows.folds) - number
        spent = done + time.monotonic() - start
        budget = max(effort.budget - spent, 1.0) / left if effort.budget else None
        encoded(rows, fold)  # of no learner's time
        begun = time.monotonic()
        fit_fold(learner, options, rows, fold, place, Effort(
            seeds.derive(effort.seed, learner.name, number), budget, effort.device,
            name_fold(effort.tell, number, len(rows.folds)),
        ))  # fmt: skip
        files.write_json(place / "done.json", {"seconds": time.monotonic() - begun})
    seconds = [
        files.read_json(folder / str(i) / "done.json")["seconds"] for i in range(len(rows.folds))
    ]
    about = {
        "learner": learner.name,
        "title": learner.title,
        "complexity": learner.complexity,
        "options": options.model_dump(mode="json"),
        "members": len(rows.folds),
        "seconds": round(sum(seconds), 3),
        **(further or {}),
    }
    parts = [
        pl.read_parquet(folder / str(i) / "predictions.parquet") for i in range(len(rows.folds))
    ]
    pl.concat(parts).write_parquet(folder / "predictions.parquet")
    files.write_json(folder / "model.json", about)
    return about


def name_fold(tell: Tell, number: int, folds: int) -> Tell:
    """Progress that says which of several folds is meant, its share counted over all."""
    if folds == 1:
        return tell

    def named(text: str, share: float | None) -> None:
        whole = (number + share) / folds if share is not None else number / folds
        tell(f"fold {number + 1} of {folds}, {text}", whole)

    return named


@dataclass(frozen=True)
class EncodedFold:
    """The encoders fitted on the training rows of a fold, and its rows encoded."""

    encoders: EncoderSet
    train: Encoded
    tune: Encoded
    scale: Json


def encoded(rows: Development, fold: Fold) -> EncodedFold:
    """A fold encoded; once for all learners, as what encoders learn does not depend on them."""
    key = id(fold)
    if key not in rows.kept:
        train_y = rows.y[fold.train]
        scale = rows.task.scale(train_y)
        target = rows.task.columns(rows.task.scaled(train_y, scale), rows.about)
        encoders = EncoderSet(rows.schema)
        train = encoders.fit_transform(encoders.read(rows.values[fold.train]), target)
        tune = encoders.transform(encoders.read(rows.values[fold.tune]))
        rows.kept[key] = EncodedFold(encoders, train, tune, scale)
    found: EncodedFold = rows.kept[key]
    return found


def fit_fold(
    learner: Learner, options: Any, rows: Development, fold: Fold, place: Path, effort: Effort
) -> None:
    """Fit encoders and learner on the training rows of a fold; predict its tune and judge rows."""
    place.mkdir(parents=True, exist_ok=True)
    found = encoded(rows, fold)
    checkpoints = place / "checkpoints"
    job = Job(
        task=rows.task,
        about=rows.about,
        options=options,
        nets=found.encoders.nets,
        train=found.train,
        train_y=rows.task.scaled(rows.y[fold.train], found.scale),
        tune=found.tune,
        tune_y=rows.task.scaled(rows.y[fold.tune], found.scale),
        weights=rows.weights_at(fold.train),
        tune_weights=rows.weights_at(fold.tune),
        seed=effort.seed,
        budget=effort.budget,
        device=effort.device,
        folder=checkpoints,
        progress=effort.tell,
    )
    member = Member(found.encoders, learner.fit(job), found.scale, rows.task)
    found.encoders.save(place, member.fitted.view)
    save_state(place, "model", member.fitted.state())
    files.write_json(place / "scale.json", found.scale)
    predictions(member, rows, fold, int(place.name)).write_parquet(place / "predictions.parquet")
    shutil.rmtree(checkpoints, ignore_errors=True)


def predictions(member: Member, rows: Development, fold: Fold, number: int) -> pl.DataFrame:
    """Outputs of a member on its tune and judge rows, one row each."""
    found = []
    for part, where in (("tune", fold.tune), ("judge", fold.judge)):
        if not len(where):
            continue
        outputs = member.outputs(rows.values[where]).astype(np.float64)
        columns = {f"out_{i}": outputs[:, i] for i in range(outputs.shape[1])}
        found.append(
            pl.DataFrame({"position": where, **columns}).with_columns(
                fold=pl.lit(number), part=pl.lit(part)
            )
        )
    return pl.concat(found)


def load_member(learner: Learner, options: Any, place: Path, task: Task, about: Json) -> Member:
    """The member that `fit_fold` wrote."""
    encoders = EncoderSet.load(place)
    brief = Brief(task, about, options, encoders.nets)
    fitted = learner.restore(load_state(place, "model"), brief)
    return Member(encoders, fitted, files.read_json(place / "scale.json"), task)
