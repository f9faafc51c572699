"""Judge every learner on the same rows, compare them by paired tests, choose the champion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.bundle.rows import Development, load_development
from fieldcraft.contracts import Array, Json, Stage
from fieldcraft.core import digest, files, seeds
from fieldcraft.core.words import figure, joined
from fieldcraft.evidence.bootstrap import Comparison, compare, interval, resample
from fieldcraft.evidence.metrics import Metric
from fieldcraft.evidence.records import Measure
from fieldcraft.project.work import Work


@dataclass(frozen=True)
class Candidate:
    """A learner with its calibrated outputs on judge rows."""

    name: str
    about: Json
    folder: Path
    outputs: Array
    calibration: Json  # fitted on all tune rows, for the bundle
    digest: str


def evaluate(work: Work) -> Json:
    """Measure, compare and choose; the test rows stay sealed."""
    rows = load_development(work.inputs["split"], work.settings)
    folders = [work.inputs["baseline"], work.inputs["train"]]
    places = {p.name: p for folder in folders for p in sorted(folder.iterdir()) if p.is_dir()}
    judge = np.concatenate([fold.judge for fold in rows.folds])
    candidates = [candidate(place, rows) for place in places.values()]
    candidates.sort(key=lambda c: c.about["complexity"])
    metric = main_metric(rows, work.settings.problem.metric)
    seed = seeds.derive(work.settings.train.seed, "bootstrap")
    y = rows.y[judge]
    drawn: dict[str, dict[str, Array]] = {}
    for number, found in enumerate(candidates):
        work.progress(f"measuring {found.about['title']}", number / len(candidates))
        drawn[found.name] = {
            m.name: resample(partial(m.values, y, found.outputs), len(y), seed)
            for m in rows.task.metrics
        }
    champion = choose(candidates, drawn, metric)
    data = digest.of_json([rows.digest, "judge", sorted(judge.tolist())])
    for found in candidates:
        for measure in measures(found, drawn[found.name], rows.task.metrics, len(y), data):
            work.record("measure", measure.as_json())
    comparisons = compare_all(candidates, drawn, metric, champion)
    result = {
        "metric": metric.name,
        "judge_rows": len(y),
        "folds": len(rows.folds),
        "champion": champion.name,
        "learners": [
            described(found, drawn[found.name], rows.task.metrics) for found in candidates
        ],
        "comparisons": comparisons,
        "sentence": sentence(champion, candidates, drawn, metric, len(y)),
        "calibration": champion.calibration,
        "evidence": rows.task.evidence(y, champion.outputs, rows.about),
        "worst": worst(rows, judge, champion.outputs),
    }
    work.record("decision", {
        "decision": "champion", "learner": champion.name, "metric": metric.name,
        "comparisons": comparisons,
    })  # fmt: skip
    files.write_json(work.out / "evaluation.json", result)
    save_predictions(rows, judge, champion.outputs, work.out / "judge.parquet")
    return {"champion": champion.name, "sentence": result["sentence"]}


def candidate(place: Path, rows: Development) -> Candidate:
    """A learner's outputs on all judge rows, each fold calibrated on its own tune rows."""
    table = pl.read_parquet(place / "predictions.parquet")
    outputs: dict[int, Array] = {}
    tuned, tuned_y = [], []
    for number, fold in enumerate(rows.folds):
        tune, judge = (outputs_of(table, number, part) for part in ("tune", "judge"))
        calibration = rows.task.calibrate(tune, rows.y[fold.tune])
        outputs[number] = rows.task.calibrated(judge, calibration)
        tuned.append(tune)
        tuned_y.append(rows.y[fold.tune])
    calibration = rows.task.calibrate(np.concatenate(tuned), np.concatenate(tuned_y))
    return Candidate(
        place.name,
        files.read_json(place / "model.json"),
        place,
        np.concatenate(list(outputs.values())),
        calibration,
        digest.of_json(digest.of_folder(place)),
    )


def outputs_of(table: pl.DataFrame, fold: int, part: str) -> Array:
    """Outputs of one fold on its tune or judge rows, in the order of the fold."""
    rows = table.filter((pl.col("fold") == fold) & (pl.col("part") == part))
    return rows.select(pl.col("^out_.*$")).to_numpy()


def main_metric(rows: Development, wanted: str | None) -> Metric:
    """The metric by which models are compared."""
    return next((m for m in rows.task.metrics if m.name == wanted), rows.task.metrics[0])


def choose(
    candidates: list[Candidate], drawn: dict[str, dict[str, Array]], metric: Metric
) -> Candidate:
    """The best learner, or the simplest of those that are not significantly worse."""

    def value(found: Candidate) -> float:
        sign = 1 if metric.greater_is_better else -1
        return sign * float(np.nan_to_num(drawn[found.name][metric.name][0], nan=-np.inf * sign))

    best = max(candidates, key=value)
    level = [
        found
        for found in candidates
        if paired(best, found, drawn, metric).verdict != "better" or found is best
    ]
    return min(level, key=lambda found: found.about["complexity"])


def paired(
    a: Candidate, b: Candidate, drawn: dict[str, dict[str, Array]], metric: Metric
) -> Comparison:
    """How much better A is than B by a metric, on the same resamples."""
    return compare(drawn[a.name][metric.name], drawn[b.name][metric.name], metric.greater_is_better)


def compare_all(
    candidates: list[Candidate],
    drawn: dict[str, dict[str, Array]],
    metric: Metric,
    champion: Candidate,
) -> list[Json]:
    """The champion against each of the others."""
    found = []
    for other in candidates:
        if other is champion:
            continue
        result = paired(champion, other, drawn, metric)
        found.append(
            {
                "a": champion.name,
                "b": other.name,
                "title": other.about["title"],
                "metric": metric.name,
                "difference": finite(result.difference),
                "low": finite(result.low),
                "high": finite(result.high),
                "p_value": finite(result.p_value),
                "verdict": result.verdict,
            }
        )
    return found


def measures(
    found: Candidate, drawn: dict[str, Array], metrics: tuple[Metric, ...], rows: int, data: str
) -> list[Measure]:
    """Every metric of a learner with its interval, as evidence."""
    result = []
    for metric in metrics:
        at = interval(drawn[metric.name])
        result.append(
            Measure(
                metric.name, "judge", found.name, finite(at.value), finite(at.low),
                finite(at.high), at.level, rows, data, found.digest,
            )
        )  # fmt: skip
    return result


def described(found: Candidate, drawn: dict[str, Array], metrics: tuple[Metric, ...]) -> Json:
    """A learner with its measures, for the report."""
    taken = {}
    for metric in metrics:
        at = interval(drawn[metric.name])
        taken[metric.name] = {
            "title": metric.title,
            "greater_is_better": metric.greater_is_better,
            "value": finite(at.value),
            "low": finite(at.low),
            "high": finite(at.high),
        }
    return {"name": found.name, **found.about, "measures": taken}


def sentence(
    champion: Candidate,
    candidates: list[Candidate],
    drawn: dict[str, dict[str, Array]],
    metric: Metric,
    rows: int,
) -> str:
    """The comparison with the baselines in words, the bad news first."""
    simplest = candidates[0]
    if champion is simplest:
        return (
            f"No model is better than a {simplest.about['title']} by {metric.title} "
            f"on {rows:,} judge rows: there is nothing here to deploy yet."
        )
    value, against = (float(drawn[c.name][metric.name][0]) for c in (champion, simplest))
    rivals = [c for c in candidates if c is not champion and c is not simplest]
    better = [c for c in rivals if paired(champion, c, drawn, metric).verdict == "better"]
    level = [c for c in rivals if c not in better]
    text = (
        f"Champion: {champion.about['title']}, {metric.title} {figure(value)} on {rows:,} judge "
        f"rows ({simplest.about['title']}: {figure(against)})."
    )
    if better:
        text += f" Significantly better than {named(better)}."
    if level:
        simpler = all(c.about["complexity"] > champion.about["complexity"] for c in level)
        text += f" Level with {named(level)}" + (", but simpler." if simpler else ".")
    return text


def named(candidates: list[Candidate]) -> str:
    """The titles of learners, joined for a sentence."""
    return joined([found.about["title"] for found in candidates])


def worst(rows: Development, judge: Array, outputs: Array) -> list[Json]:
    """The judge rows that the champion gets most wrong, with their cells."""
    positions = rows.task.evidence(rows.y[judge], outputs, rows.about)["worst"]
    decided = rows.task.decide(outputs, rows.about)
    found = []
    for position in positions:
        cells = rows.frame.row(int(judge[position]), named=True)
        found.append(
            {
                "line": rows.rows[int(judge[position])],
                "prediction": decided["prediction"][position],
                "cells": {name: None if v is None else str(v) for name, v in cells.items()},
            }
        )
    return found


def save_predictions(rows: Development, judge: Array, outputs: Array, path: Path) -> None:
    """The champion's predictions on judge rows, with their lines."""
    lines = pl.DataFrame({"line": [rows.rows[i] for i in judge], "position": judge})
    pl.concat([lines, rows.task.decide(outputs, rows.about)], how="horizontal").write_parquet(path)


def finite(value: float) -> float | None:
    """A number that JSON can carry, None for what is not one."""
    return float(value) if np.isfinite(value) else None


STAGE = Stage(
    "evaluate",
    "Judge and compare all learners on rows they have not seen; choose the champion.",
    evaluate,
    sections=("problem.metric", "problem.task", "problem.target", "data", "clean", "train.seed"),
)
