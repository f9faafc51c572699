"""A column that gives the target away by itself."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding

CERTAIN = 0.99  # of the target's uncertainty explained by one column: the run stops
SUSPECT = 0.9
BINS = 64
LEAST_ROWS_A_CLASS = 10
SHUFFLES = 5
LEAST_ROWS_A_LEVEL = 5.0  # on average; else a column of names would explain everything


class Leak:
    """Reports columns that alone tell (nearly) all of the target."""

    code = "leak"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Measure how much of the target each column explains on training rows."""
        if view.y is None or view.task is None:
            return
        for column in view.schema.columns:
            power = power_of(levels_of(view.values[column.name]), view.y, view.task.output)
            if power >= SUSPECT:
                stop = power >= CERTAIN
                yield Finding(
                    self.code,
                    "stop" if stop else "warn",
                    f"{column.name} alone tells {power:.0%} of the target {view.targets[0]}",
                    column.name,
                    {"power": power, "rows": len(view.y)},
                    "ask whether it is known at the moment of prediction; if not, drop it",
                    (Edit(("data", "drop"), column.name, add=True),) if stop else (),
                )


def levels_of(column: pl.Series) -> Array:
    """The column as codes: quantile bins of numbers, levels of anything else."""
    if column.dtype.is_float() or column.dtype.is_temporal():
        values = (
            column.cast(pl.Float64, strict=False).to_numpy()
            if column.dtype.is_float()
            else (column.dt.epoch("s").cast(pl.Float64).to_numpy())
        )
        there = values[~np.isnan(values)]
        if not len(there):
            return np.zeros(len(column), dtype=np.int64)
        distinct = np.unique(there)
        bins = max(2, min(BINS, int(len(column) / LEAST_ROWS_A_LEVEL) - 1))  # one for missing
        edges = (
            distinct
            if len(distinct) <= bins
            else np.unique(np.quantile(there, np.linspace(0, 1, bins + 1)[1:-1]))
        )
        return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))
    return column.cast(pl.String).rank("dense").fill_null(0).to_numpy().astype(np.int64)


def power_of(codes: Array, y: Array, output: str) -> float:
    """Share of the target that the codes explain beyond chance, 0 to 1."""
    _, codes = np.unique(codes, return_inverse=True)
    levels = int(codes.max()) + 1 if len(codes) else 0
    if levels < 2 or len(y) < LEAST_ROWS_A_LEVEL * levels:
        return 0.0
    return correlation_ratio(codes, y) if output == "value" else goodman_kruskal(codes, y)


def correlation_ratio(codes: Array, y: Array) -> float:
    """How much of the variance of the target's ranks the codes explain, less what is chance.

    Ranks, since a few far amounts would hide that the rest is given away.
    """
    ranks, levels = pl.Series(y).rank().to_numpy(), int(codes.max()) + 1
    means = np.bincount(codes, weights=ranks) / np.bincount(codes)
    total = ((ranks - ranks.mean()) ** 2).sum()
    inside = ((ranks - means[codes]) ** 2).sum() / max(len(y) - levels, 1) * (len(y) - 1)
    return float(max(0.0, 1 - inside / total)) if total > 0 else 0.0


def goodman_kruskal(codes: Array, y: Array) -> float:
    """How much of the error of the best guess of a class vanishes when the codes are known.

    Goodman and Kruskal's lambda on balanced classes, set against that of shuffled targets: a rare
    class has its few rows in levels of their own by chance alone. Classes of fewer than ten
    rows are left out.
    """
    kept = np.bincount(y)[y] >= LEAST_ROWS_A_CLASS
    _, classes = np.unique(y[kept], return_inverse=True)
    count = int(classes.max()) + 1 if len(classes) else 0
    if count < 2:
        return 0.0

    def right(classes: Array) -> float:
        table = np.bincount(codes[kept] * count + classes, minlength=(codes.max() + 1) * count)
        balanced = table.reshape(-1, count) / np.bincount(classes)
        return float(balanced.max(axis=1).sum()) / count

    draw = np.random.default_rng(0)
    chance = float(np.mean([right(draw.permutation(classes)) for _ in range(SHUFFLES)]))
    return max(0.0, (right(classes) - chance) / (1 - chance)) if chance < 1 else 0.0


CHECK = Leak()
