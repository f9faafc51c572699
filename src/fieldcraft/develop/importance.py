"""How much a model's figure suffers when a column is shuffled, on judge rows.

Permutation importance (Breiman 2001; Fisher, Rudin & Dominici, JMLR 2019). Columns that tell the
same share their importance: shuffling one leaves the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json
from fieldcraft.core import seeds
from fieldcraft.develop.contest import finite
from fieldcraft.develop.members import Member
from fieldcraft.develop.rows import Development
from fieldcraft.evidence.association import levels_of, power_of
from fieldcraft.evidence.bootstrap import Draw, interval, resample
from fieldcraft.evidence.metrics import Metric

MOST_ROWS = 2_000
REPEATS = 3
FEWEST_COLUMNS = 20  # that are weighed, however many there are
MOST_WORK = 40_000  # columns weighed times columns encoded each time
RESAMPLES = 200
Tell = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Model:
    """The members of each fold with their weights, and how their outputs are calibrated."""

    folds: Sequence[Sequence[tuple[Member, float]]]
    calibration: Json


def importances(
    model: Model, rows: Development, metric: Metric, seed: int, tell: Tell
) -> list[Json]:
    """Each column's importance with its interval, the largest first.

    An importance is how much worse the metric gets, in its own units; below 0 it got better. Of
    very many columns those are weighed that go most with the model's outputs.
    """
    judged = [sample(fold.judge, len(rows.folds), seed) for fold in rows.folds]
    y = rows.y[np.concatenate(judged)]
    pieces = [rows.values[where.tolist()] for where in judged]
    draw = Draw(len(y), seeds.derive(seed, "resamples"), resamples=RESAMPLES)

    def figures(found: Array) -> Array:
        calibrated = rows.task.calibrated(found, model.calibration)
        said = rows.task.read(calibrated, rows.about, model.calibration)
        return resample({0: lambda weights: metric.values(y, said, weights)}, draw)[0]

    def without(name: str, repeat: int) -> Array:
        return figures(outputs(model, shuffle(pieces, name, seeds.derive(seed, name, repeat))))

    sign = 1 if metric.greater_is_better else -1
    plain = outputs(model, pieces)
    base = figures(plain)
    names = weighed(pl.concat(pieces), plain)
    found = []
    for number, name in enumerate(names):
        tell(f"shuffling {name}", number / len(names))
        shuffled = np.mean([without(name, repeat) for repeat in range(REPEATS)], axis=0)
        at = interval(sign * (base - shuffled))
        found.append(
            {
                "column": name,
                "value": finite(at.value),
                "low": finite(at.low),
                "high": finite(at.high),
            }
        )
    return sorted(found, key=lambda item: -(item["value"] or 0.0))


def weighed(values: pl.DataFrame, outputs: Array) -> list[str]:
    """The columns to weigh: all, or of very many those that tell most of the outputs."""
    most = max(FEWEST_COLUMNS, MOST_WORK // max(values.width, 1))
    if values.width <= most:
        return values.columns
    liveliest = outputs[:, outputs.std(axis=0).argmax()].astype(np.float64)
    power = {c.name: power_of(levels_of(c), liveliest, value=True) for c in values}
    return sorted(power, key=lambda name: -power[name])[:most]


def sample(where: Array, folds: int, seed: int) -> Array:
    """Some of the judge rows of a fold, all of them if they are few."""
    most = MOST_ROWS // folds
    if len(where) <= most:
        return where
    return np.sort(np.random.default_rng(seed).choice(where, most, replace=False))


def outputs(model: Model, tables: Sequence[pl.DataFrame]) -> Array:
    """The model's outputs on the rows of each fold, by that fold's members."""
    return np.concatenate(
        [
            np.average(
                [member.outputs(table) for member, _ in members],
                axis=0,
                weights=[weight for _, weight in members],
            )
            for members, table in zip(model.folds, tables, strict=True)
        ]
    )


def shuffle(pieces: Sequence[pl.DataFrame], name: str, seed: int) -> list[pl.DataFrame]:
    """The same rows with the values of one column dealt out anew within each piece."""
    draw = np.random.default_rng(seed)
    return [
        piece.with_columns(piece[name].gather(draw.permutation(piece.height))) for piece in pieces
    ]
