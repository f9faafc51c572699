"""Tell on which columns the champion's predictions hang, and why it said what it said of some rows.

Folder of the stage::

    importance.json    what shuffling each column costs
    kinds.json         what shuffling all columns of a kind costs; empty if all are of one kind
    explained.json     of the worst judge rows, what speaks for the prediction and what against it
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from fieldcraft.contracts import Json, Stage
from fieldcraft.core import files, seeds
from fieldcraft.develop.candidate import fold_calibration, models_in
from fieldcraft.develop.importance import Model, Trial, contributions, importances
from fieldcraft.develop.reasons import reasons
from fieldcraft.develop.rows import TARGET_SECTIONS, Development, load_development
from fieldcraft.develop.write import members_of, parts_of, used_by
from fieldcraft.project.work import Work


def explain(work: Work) -> Json:
    """Shuffle columns on judge rows and see how much worse the champion gets; explain the worst."""
    rows = load_development(work.inputs["split"], work.settings)
    evaluation = files.read_json(work.inputs["evaluate"] / "evaluation.json")
    metric = next(m for m in rows.task.metrics if m.name == evaluation["metric"])
    places = models_in({name: work.inputs[name] for name in ("baseline", "train", "blend")})
    champion = places[evaluation["champion"]]
    rows = used_by(parts_of(champion, places), rows)
    model = whole(champion, places, rows, evaluation["calibration"])
    trial = Trial(model, rows, metric, seeds.derive(work.settings.train.seed, "importance"))
    found = importances(trial, work.progress)
    kinds = contributions(trial, found, work.progress)
    positions = [row["position"] for row in evaluation["worst"]]
    why = reasons(by_fold(model, champion, rows), rows, positions, work.progress)
    files.write_json(work.out / "importance.json", found)
    files.write_json(work.out / "kinds.json", kinds)
    files.write_json(work.out / "explained.json", why)
    for item in found:
        work.record("importance", {"metric": metric.name, **item})
    for item in kinds:
        work.record("contribution", {"metric": metric.name, **item})
    return {"most": [item["column"] for item in found[:3]]}


def whole(place: Path, places: dict[str, Path], rows: Development, calibration: Json) -> Model:
    """The members of a model, those of each fold together."""
    parts = parts_of(place, places)
    by_part = [[(member, part.weight) for member in members_of(part, rows)] for part in parts]
    return Model(list(zip(*by_part, strict=True)), calibration)


def by_fold(model: Model, place: Path, rows: Development) -> list[Model]:
    """Each fold's members by themselves, calibrated as they were when they judged their rows."""
    table = pl.read_parquet(place / "predictions.parquet")
    return [
        Model([members], fold_calibration(table, rows, number))
        for number, members in enumerate(model.folds)
    ]


STAGE = Stage(
    "explain",
    "Tell on which columns the champion's predictions hang, and why on single rows.",
    explain,
    sections=(*TARGET_SECTIONS, "data", "clean", "train.seed"),
    version=5,
)
