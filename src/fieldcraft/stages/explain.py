"""Tell on which columns the champion's predictions hang."""

from __future__ import annotations

from fieldcraft.contracts import Json, Stage
from fieldcraft.core import files, seeds
from fieldcraft.develop.candidate import models_in
from fieldcraft.develop.importance import Model, importances
from fieldcraft.develop.rows import TARGET_SECTIONS, load_development
from fieldcraft.develop.write import members_of, parts_of
from fieldcraft.project.work import Work


def explain(work: Work) -> Json:
    """Shuffle each column on judge rows and see how much worse the champion gets."""
    rows = load_development(work.inputs["split"], work.settings)
    evaluation = files.read_json(work.inputs["evaluate"] / "evaluation.json")
    metric = next(m for m in rows.task.metrics if m.name == evaluation["metric"])
    places = models_in({name: work.inputs[name] for name in ("baseline", "train", "blend")})
    parts = parts_of(places[evaluation["champion"]], places)
    by_part = [[(member, part.weight) for member in members_of(part, rows)] for part in parts]
    model = Model(list(zip(*by_part, strict=True)), evaluation["calibration"])
    seed = seeds.derive(work.settings.train.seed, "importance")
    found = importances(model, rows, metric, seed, work.progress)
    files.write_json(work.out / "importance.json", found)
    for item in found:
        work.record("importance", {"metric": metric.name, **item})
    return {"most": [item["column"] for item in found[:3]]}


STAGE = Stage(
    "explain",
    "Tell on which columns the champion's predictions hang.",
    explain,
    sections=(*TARGET_SECTIONS, "data", "clean", "train.seed"),
    version=2,
)
