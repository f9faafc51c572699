"""Judge every learner on the same rows, compare them by paired tests, choose the champion."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json, Stage
from fieldcraft.core import catalogue, digest, files, seeds
from fieldcraft.develop.candidate import Candidate, load_candidate, models_in
from fieldcraft.develop.checking import checks_of, judge_view, keep
from fieldcraft.develop.contest import Contest, Drawn, finite, main_metric, simplicity
from fieldcraft.develop.groups import by_groups
from fieldcraft.develop.rows import TARGET_SECTIONS, Development, load_development
from fieldcraft.evidence.bootstrap import Draw, interval, resample
from fieldcraft.evidence.fitness import judge_fit
from fieldcraft.evidence.metrics import Metric, Said
from fieldcraft.evidence.records import Measure
from fieldcraft.project.settings import Problem
from fieldcraft.project.work import Work

MOST_OF_A_CELL = 2_000  # characters of a worst row's cell that are kept


def evaluate(work: Work) -> Json:
    """Measure, compare and choose; the test rows stay sealed."""
    rows = load_development(work.inputs["split"], work.settings)
    places = models_in({name: work.inputs[name] for name in ("baseline", "train", "blend")})
    candidates = [load_candidate(place, rows) for place in places.values()]
    candidates.sort(key=simplicity)
    judge = np.concatenate([fold.judge for fold in rows.folds])
    draw = draw_for(rows, judge, seeds.derive(work.settings.train.seed, "bootstrap"))
    metric = main_metric(rows, work.settings.problem.metric)
    work.progress("measuring with intervals", None)
    drawn = measured(candidates, rows, judge, draw)
    match = Contest(candidates, drawn, metric)
    champion = match.champion()
    for found in candidates:
        for measure in measures(found, drawn, rows, judge):
            work.record("measure", measure.as_json())
    comparisons = match.against_all(champion)
    groups = by_groups(rows, judge, champion.said, metric, draw, work.settings)
    for body in groups:
        work.record("groups", body)
    result = {
        "metric": metric.name,
        "judge_rows": len(judge),
        "folds": len(rows.folds),
        "champion": champion.name,
        "learners": [described(found, drawn, rows) for found in candidates],
        "comparisons": comparisons,
        "without_files": match.without_files(rows.values.columns),
        "sentence": match.sentence(champion, len(judge)),
        "bar": bar(work.settings.problem, metric, drawn[champion.name, metric.name]),
        "calibration": champion.calibration,
        "calibrations": champion.calibrations,
        "evidence": rows.task.evidence(rows.y[judge], champion.said, rows.about),
        "groups": groups,
        "fitness": fitness(work, places),
        "worst": worst(rows, judge, champion.said),
        "doubts": doubts(rows, judge, champion.said, work),
    }
    work.record("decision", {
        "decision": "champion", "learner": champion.name, "metric": metric.name,
        "comparisons": comparisons, "bar": result["bar"],
    })  # fmt: skip
    files.write_json(work.out / "evaluation.json", result)
    save_predictions(rows, judge, champion.said).write_parquet(work.out / "judge.parquet")
    return {"champion": champion.name, "sentence": result["sentence"]}


def draw_for(rows: Development, judge: Array, seed: int) -> Draw:
    """How judge rows are drawn: whole units where rows depend on each other."""
    return Draw(
        len(judge),
        seed,
        None if rows.units is None else rows.units[judge],
        rows.weights_at(judge),
    )


def measured(candidates: list[Candidate], rows: Development, judge: Array, draw: Draw) -> Drawn:
    """Every metric of every model, on the rows as they are and on all resamples."""
    y = rows.y[judge]
    return resample(
        {
            (found.name, metric.name): partial(metric.values, y, found.said)
            for found in candidates
            for metric in rows.task.metrics
        },
        draw,
    )


def measures(found: Candidate, drawn: Drawn, rows: Development, judge: Array) -> list[Measure]:
    """Every metric of a learner with its interval, as evidence."""
    data = digest.of_json([rows.digest, "judge", sorted(judge.tolist())])
    result = []
    for metric in rows.task.metrics:
        at = interval(drawn[found.name, metric.name], inflated=metric.inflated)
        result.append(
            Measure(
                metric.name, "judge", found.name, finite(at.value),
                finite(at.low), finite(at.high), at.level, len(judge), data,
                found.digest,
            )
        )  # fmt: skip
    return result


def described(found: Candidate, drawn: Drawn, rows: Development) -> Json:
    """A learner with its measures, for the report."""
    taken = {}
    for metric in rows.task.metrics:
        at = interval(drawn[found.name, metric.name], inflated=metric.inflated)
        taken[metric.name] = {
            "title": metric.title,
            "greater_is_better": metric.greater_is_better,
            "value": finite(at.value),
            "low": finite(at.low),
            "high": finite(at.high),
        }
    return {"name": found.name, **found.about, "measures": taken}


def bar(problem: Problem, metric: Metric, drawn: Array) -> Json | None:
    """Whether the champion reaches what the project file asks for, with how much certainty."""
    if problem.bar is None:
        return None
    at = interval(drawn, inflated=metric.inflated)
    sign = 1 if metric.greater_is_better else -1
    surely = sign * (at.low if sign > 0 else at.high) >= sign * problem.bar
    reached = sign * at.value >= sign * problem.bar
    verdict = "met" if surely else "met, but not surely" if reached else "missed"
    return {"metric": metric.name, "title": metric.title, "wanted": problem.bar, "verdict": verdict}


def fitness(work: Work, places: dict[str, Any]) -> Json | None:
    """What the training curves say of the trained model."""
    name = work.settings.model.learner
    if name not in places:
        return None
    states = [files.read_json(path) for path in sorted(places[name].glob("*/model.json"))]
    curves = [state["curves"] for state in states if state.get("curves")]
    if not curves:
        return None
    found = judge_fit(curves, min(curve["training"]["epochs"] for curve in curves))
    return asdict(found) if found else None


def worst(rows: Development, judge: Array, said: Said) -> list[Json]:
    """The judge rows that the champion gets most wrong, with their cells."""
    positions = rows.task.evidence(rows.y[judge], said, rows.about)["worst"]
    return shown(rows, judge, said, positions)


def doubts(rows: Development, judge: Array, said: Said, work: Work) -> list[Json]:
    """What checks of the champion find; the rows that they name, with their cells."""
    view = judge_view(rows, judge, said, work.settings.problem.targets)
    work.progress("looking at what the champion contradicts", None)
    found = keep([f for check in checks_of("model") for f in check.run(view)], work)
    named = [row for finding in found for row in finding.evidence.get("rows", [])]
    cells = shown(rows, judge, said, [row["at"] for row in named])
    return [{**row, **more} for row, more in zip(named, cells, strict=True)]


def shown(rows: Development, judge: Array, said: Said, places: list[int]) -> list[Json]:
    """Some judge rows with their cells and photos, and what the champion says about them.

    Args:
        rows: all rows.
        judge: positions of the judge rows among them.
        said: about judge rows.
        places: of the wanted rows among the judge rows.
    """
    decided = rows.task.decide(said, rows.about)
    found = []
    for place in places:
        position = int(judge[place])
        cells = rows.frame.row(position, named=True)
        values = rows.values.row(position, named=True)
        drawn = {
            column.name: catalogue.load("kinds", column.kind).picture(values[column.name])
            for column in rows.schema.columns
        }
        found.append(
            {
                "pictures": {name: picture for name, picture in drawn.items() if picture},
                "position": position,
                "line": rows.rows[position],
                "prediction": decided["prediction"][place],
                "cells": {
                    name: None if v is None else str(v)[:MOST_OF_A_CELL]
                    for name, v in cells.items()
                },
            }
        )
    return found


def save_predictions(rows: Development, judge: Array, said: Said) -> pl.DataFrame:
    """The champion's predictions on judge rows, with the number of each row."""
    lines = pl.DataFrame({"line": [rows.rows[i] for i in judge], "position": judge})
    return pl.concat([lines, rows.task.decide(said, rows.about)], how="horizontal")


STAGE = Stage(
    "evaluate",
    "Judge and compare all learners on rows they have not seen; choose the champion.",
    evaluate,
    sections=(
        *TARGET_SECTIONS, "problem.metric", "problem.bar", "problem.costs", "problem.threshold",
        "problem.coverage", "problem.reject", "problem.groups", "data", "clean", "train.seed",
    ),
    version=9,
)  # fmt: skip
