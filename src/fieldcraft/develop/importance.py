"""How much a model's figure suffers when columns are shuffled, on judge rows.

Permutation importance (Breiman 2001; Fisher, Rudin & Dominici, JMLR 2019). Columns that tell the
same share their importance: shuffling one leaves the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json
from fieldcraft.core import catalogue, seeds
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
DIGITS = 12  # of an importance behind the point
FIGURES = ("value", "low", "high")
Tell = Callable[[str, float | None], None]


@dataclass(frozen=True)
class Model:
    """The members of each fold with their weights, and how their outputs are calibrated."""

    folds: Sequence[Sequence[tuple[Member, float]]]
    calibration: Json


@dataclass(frozen=True)
class Trial:
    """A model whose figure is measured on a sample of judge rows, as they are and shuffled."""

    model: Model
    rows: Development
    metric: Metric
    seed: int

    @cached_property
    def judged(self) -> list[Array]:
        """The judge rows of each fold, or some of them."""
        folds = self.rows.folds
        return [sample(fold.judge, len(folds), self.seed) for fold in folds]

    @cached_property
    def pieces(self) -> list[pl.DataFrame]:
        """The rows of each fold as they are."""
        return [self.rows.values[where.tolist()] for where in self.judged]

    @cached_property
    def plain(self) -> Array:
        """What the model says of them."""
        return outputs(self.model, self.pieces)

    @cached_property
    def base(self) -> Array:
        """Its figure, on the rows and on resamples of them."""
        return self.figures(self.plain)

    def figures(self, found: Array) -> Array:
        """The figure of some outputs, on the rows and on resamples of them."""
        rows, metric = self.rows, self.metric
        y = rows.y[np.concatenate(self.judged)]
        draw = Draw(len(y), seeds.derive(self.seed, "resamples"), resamples=RESAMPLES)
        calibrated = rows.task.calibrated(found, self.model.calibration)
        said = rows.task.read(calibrated, rows.about, self.model.calibration)
        return resample({0: lambda weights: metric.values(y, said, weights)}, draw)[0]

    def lost(self, names: Sequence[str], label: str) -> Json:
        """How much worse the figure gets when some columns are shuffled together."""
        sign = 1 if self.metric.greater_is_better else -1
        drawn = [
            self.figures(
                outputs(
                    self.model, shuffle(self.pieces, names, seeds.derive(self.seed, label, repeat))
                )
            )
            for repeat in range(REPEATS)
        ]
        at = interval(sign * (self.base - np.mean(drawn, axis=0)))
        return {name: settled(getattr(at, name)) for name in FIGURES}


def importances(trial: Trial, tell: Tell) -> list[Json]:
    """Each column's importance with its interval, the largest first.

    An importance is how much worse the metric gets, in its own units; below 0 it got better. Of
    very many columns those are weighed that go most with the model's outputs.
    """
    names = weighed(pl.concat(trial.pieces), trial.plain)
    found = []
    for number, name in enumerate(names):
        tell(f"shuffling {name}", number / len(names))
        found.append({"column": name, **trial.lost([name], name)})
    return largest_first(found)


def contributions(trial: Trial, known: Sequence[Json], tell: Tell) -> list[Json]:
    """What each kind of column tells: all its columns shuffled together, the largest first.

    What several columns tell alike is lost only if all of them are shuffled.

    Args:
        trial: the model and its rows.
        known: importances of single columns.
        tell: told how far it is.

    Returns:
        Nothing where all columns are of one kind.
    """
    alone = {item["column"]: item for item in known}
    kinds: dict[str, list[str]] = {}
    for column in trial.rows.schema.columns:
        if catalogue.load("kinds", column.kind).used:
            kinds.setdefault(column.kind, []).append(column.name)
    found: list[Json] = []
    for number, (kind, names) in enumerate(kinds.items() if len(kinds) > 1 else ()):
        tell(f"shuffling all columns of the kind {kind}", number / len(kinds))
        same = alone.get(names[0]) if len(names) == 1 else None
        lost = same or trial.lost(names, f"kind {kind}")
        found.append({"kind": kind, "columns": names, **{k: lost[k] for k in FIGURES}})
    return largest_first(found)


def settled(value: float) -> float | None:
    """A figure without the rounding of sums: what is nothing is zero."""
    return finite(round(value, DIGITS) + 0.0)


def largest_first(found: list[Json]) -> list[Json]:
    """What costs most when it is shuffled comes first."""
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


def shuffle(pieces: Sequence[pl.DataFrame], names: Sequence[str], seed: int) -> list[pl.DataFrame]:
    """The same rows with the values of some columns dealt out anew, together, within each piece."""
    draw = np.random.default_rng(seed)
    return [
        piece.with_columns(piece[list(names)][draw.permutation(piece.height).tolist()])
        for piece in pieces
    ]
