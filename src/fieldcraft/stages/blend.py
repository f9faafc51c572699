"""Weigh the trained models against each other, and blend them where together they are better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json, Stage
from fieldcraft.core import files
from fieldcraft.develop.candidate import models_in, outputs_of
from fieldcraft.develop.rows import TARGET_SECTIONS, Development, load_development
from fieldcraft.project.work import Work

NAME = "blend"
ROUNDS = 10  # of selection; a model's weight is its share of them
RESAMPLES = 20  # of the tune rows, so that weights do not hang on a few of them
MOST_CELLS = 100_000  # outputs in a resample
LEAST = 0.1  # weight below which a model is not worth carrying
SIMPLEST = 2  # complexity of models that may be part of a blend
GAIN = 1e-4  # relative gain in tune loss that a blend must bring


def blend(work: Work) -> Json:
    """Blend the models by their outputs on tune rows; no model is trained again."""
    if not work.settings.model.blend:
        return {"parts": {}}
    rows = load_development(work.inputs["split"], work.settings)
    places = models_in({name: work.inputs[name] for name in ("baseline", "train")})
    about = {name: files.read_json(place / "model.json") for name, place in places.items()}
    tables = {
        name: pl.read_parquet(places[name] / "predictions.parquet")
        for name in places
        if about[name]["complexity"] >= SIMPLEST
    }
    weights = weigh({name: tuned(table, rows) for name, table in tables.items()}, rows)
    if len(weights) > 1:
        write(work.out / NAME, weights, about, tables)
        work.record("decision", {"decision": "blended", "weights": weights})
    return {"parts": weights}


def tuned(table: pl.DataFrame, rows: Development) -> Array:
    """A model's outputs on the tune rows of all folds."""
    return np.concatenate([outputs_of(table, i, "tune") for i in range(len(rows.folds))])


def weigh(outputs: Mapping[str, Array], rows: Development) -> dict[str, float]:
    """The weight of each model in a blend on tune rows; one model alone if that is as good.

    Ensemble selection, its weights averaged over resamples of the tune rows (Caruana et al.,
    *Ensemble Selection from Libraries of Models*, ICML 2004, and *Getting the Most Out of
    Ensemble Selection*, ICDM 2006).
    """
    every = np.concatenate([fold.tune for fold in rows.folds])
    y, counted, loss = rows.y[every], rows.weights_at(every), rows.task.validation_loss
    draw, width = np.random.default_rng(0), next(iter(outputs.values())).shape[1]
    chances = None if counted is None else counted / counted.sum()
    shares = dict.fromkeys(outputs, 0.0)
    for _ in range(RESAMPLES):
        drawn = draw.choice(len(y), size=min(len(y), MOST_CELLS // width), p=chances)
        chosen = selected({name: found[drawn] for name, found in outputs.items()}, y[drawn], loss)
        for name in chosen:
            shares[name] += 1 / (ROUNDS * RESAMPLES)
    kept = {name: share for name, share in shares.items() if share >= LEAST}
    weights = {name: round(share / sum(kept.values()), 4) for name, share in kept.items()}
    blended = np.sum([weight * outputs[name] for name, weight in weights.items()], axis=0)
    alone = {name: loss(found, y, counted) for name, found in outputs.items()}
    best = min(alone, key=alone.__getitem__)
    return weights if loss(blended, y, counted) < alone[best] * (1 - GAIN) else {best: 1.0}


def selected(
    outputs: Mapping[str, Array], y: Array, loss: Callable[[Array, Array], float]
) -> list[str]:
    """Models chosen one after the other, each the one that most improves the mean of them all."""
    chosen: list[str] = []
    total = np.zeros_like(next(iter(outputs.values())))
    while len(chosen) < ROUNDS:
        count = len(chosen) + 1
        losses = {name: loss((total + found) / count, y) for name, found in outputs.items()}
        chosen.append(min(losses, key=losses.__getitem__))
        total = total + outputs[chosen[-1]]
    return chosen


def write(
    place: Path, weights: Mapping[str, float], about: Mapping[str, Json],
    tables: Mapping[str, pl.DataFrame],
) -> None:  # fmt: skip
    """Write the blend like any model: what it is, and its outputs on tune and judge rows."""
    place.mkdir(parents=True, exist_ok=True)
    first = tables[next(iter(weights))]
    outs = [name for name in first.columns if name.startswith("out_")]
    mixed = sum(weight * tables[name].select(outs).to_numpy() for name, weight in weights.items())
    outputs = pl.DataFrame(np.asarray(mixed), schema=outs)
    first.drop(outs).hstack(outputs).write_parquet(place / "predictions.parquet")
    parts = [about[name] for name in weights]
    columns = {column for part in parts for column in part.get("columns", [])}
    fewer = {"columns": sorted(columns)} if all("columns" in part for part in parts) else {}
    files.write_json(
        place / "model.json",
        {
            "learner": NAME,
            "title": f"blend of {len(parts)} models",
            "complexity": max(part["complexity"] for part in parts) + 1,
            "members": sum(part["members"] for part in parts),
            "seconds": round(sum(part["seconds"] for part in parts), 3),
            "parts": dict(weights),
            **fewer,
        },
    )


STAGE = Stage(
    "blend",
    "Blend the trained models where together they are better.",
    blend,
    sections=(*TARGET_SECTIONS, "data", "clean", "model.blend"),
    version=3,
)
