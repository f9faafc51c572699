"""Figures of the champion for each group of people or things that the project file names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json
from fieldcraft.develop.contest import finite
from fieldcraft.develop.rows import Development, columns_of
from fieldcraft.evidence.bootstrap import LEVEL, Draw, interval, resample
from fieldcraft.evidence.groups import FEWEST, MOST, groups_of
from fieldcraft.evidence.metrics import Metric, Said, mean
from fieldcraft.project.settings import Settings

MOST_METRICS = 4
TELLING = (  # of what a model does to a group, beside the main metric
    "recall", "precision", "accuracy", "mae", "bias", "macro_f1", "quadratic_kappa", "micro_f1",
)  # fmt: skip


def by_groups(
    rows: Development, judge: Array, said: Said, main: Metric, draw: Draw, settings: Settings
) -> list[Json]:
    """For each column of ``problem.groups``: each group's figures, and the widest gaps.

    A gap is between the groups with the highest and the lowest figure, on the same resamples of
    all judge rows. Since these two were picked among all pairs, its interval is so much wider
    (Bonferroni's correction).
    """
    names = settings.problem.groups
    if not names:
        return []
    values = columns_of(settings, names).apply(rows.frame[judge.tolist()])
    found = []
    for name in names:
        codes, order = groups_of(values[name])
        counts = dict(codes.value_counts(name="rows").iter_rows())
        kept = [group for group in order if counts.get(group, 0) >= FEWEST][:MOST]
        found.append(figures(name, codes, kept, (rows, judge, said), main, draw))
    return found


def metrics_for(rows: Development, main: Metric) -> list[Metric]:
    """The figures by which groups are told apart: the main one, a few more, and who is called."""
    named = {metric.name: metric for metric in rows.task.metrics if metric is not main}
    chosen = [main, *(named[name] for name in TELLING if name in named)][:MOST_METRICS]
    if rows.task.name == "binary":
        chosen.append(Metric("called", "called positive", True, called))
    return chosen


def called(y: Array, said: Said, weights: Array) -> Array:
    """Share of rows that are decided positive."""
    return mean(said.decisions == 1, weights)


def figures(
    name: str,
    codes: pl.Series,
    kept: list[str],
    judged: tuple[Development, Array, Said],
    main: Metric,
    draw: Draw,
) -> Json:
    """The figures of one column's groups, on the same resamples of all judge rows."""
    rows, judge, said = judged
    y, metrics = rows.y[judge], metrics_for(rows, main)
    inside = {group: (codes == group).to_numpy() for group in kept}

    def within(metric: Metric, mask: Array, weights: Array) -> Array:
        part = said.at(mask)
        return metric.values(y[mask], part, weights[:, mask])

    drawn = resample(
        {
            (group, metric.name): partial(within, metric, mask)
            for group, mask in inside.items()
            for metric in metrics
        },
        draw,
    )
    gaps = {
        metric.name: widest_gap({group: drawn[group, metric.name] for group in kept})
        for metric in metrics
        if len(kept) > 1
    }
    return {
        "column": name,
        "metrics": {metric.name: metric.title for metric in metrics},
        "groups": [
            {
                "group": group,
                "rows": int(inside[group].sum()),
                "figures": {m.name: as_json(drawn[group, m.name]) for m in metrics},
            }
            for group in kept
        ],
        "too_few": sorted(set(codes.unique().to_list()) - set(kept)),
        "gaps": gaps,
    }


def widest_gap(drawn: Mapping[str, Array]) -> Json:
    """The two groups that are furthest apart, and by how much."""
    now = {group: values[0] for group, values in drawn.items() if np.isfinite(values[0])}
    if len(now) < 2:
        return {"value": None, "low": None, "high": None}
    high, low = max(now, key=now.__getitem__), min(now, key=now.__getitem__)
    pairs = len(now) * (len(now) - 1) / 2
    gap = as_json(drawn[high] - drawn[low], 1 - (1 - LEVEL) / pairs)
    return {"highest": high, "lowest": low, **gap}


def as_json(drawn: Array, level: float = LEVEL) -> Json:
    """A figure with its interval."""
    at = interval(drawn, level)
    return {"value": finite(at.value), "low": finite(at.low), "high": finite(at.high)}
