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
from fieldcraft.evidence.bootstrap import Draw, interval, resample
from fieldcraft.evidence.metrics import Metric

MOST_ROWS = 2_000
REPEATS = 3
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

    An importance is how much worse the metric gets, in its own units; below 0 it got better.
    """
    judged = [sample(fold.judge, len(rows.folds), seed) for fold in rows.folds]
    y = rows.y[np.concatenate(judged)]
    pieces = [rows.values[where.tolist()] for where in judged]
    draw = Draw(len(y), seeds.derive(seed, "resamples"), resamples=RESAMPLES)

    def figures(tables: Sequence[pl.DataFrame]) -> Array:
        said = rows.task.read(
            rows.task.calibrated(outputs(model, tables), model.calibration),
            rows.about,
            model.calibration,
        )
        return resample({0: lambda weights: metric.values(y, said, weights)}, draw)[0]

    sign = 1 if metric.greater_is_better else -1
    base = figures(pieces)
    found = []
    for number, name in enumerate(rows.values.columns):
        tell(f"shuffling {name}", number / rows.values.width)
        shuffled = np.mean(
            [figures(shuffle(pieces, name, seeds.derive(seed, name, r))) for r in range(REPEATS)],
            axis=0,
        )
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
