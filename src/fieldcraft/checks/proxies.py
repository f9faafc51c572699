"""Columns that tell who a person is although they do not say it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import listed
from fieldcraft.data.names import sounds_sensitive
from fieldcraft.evidence.association import levels_of, numbers_of, power_of, some
from fieldcraft.evidence.records import Finding

SAMPLE = 10_000
TELLING = 0.5
MOST_COLUMNS = 200
MOST_SENSITIVE = 10
MOST_GROUPS = 30


class Proxies:
    """Reports columns from which a sensitive column can be told."""

    code = "proxies"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Measure how much the used columns tell of each sensitive one."""
        parsed = set(view.values.columns)
        used = [column.name for column in view.schema.columns if column.name in parsed]
        suspected = [name for name in view.looks if sounds_sensitive(name)]
        names = [n for n in dict.fromkeys([*view.groups, *suspected]) if n not in view.targets]
        rows = some(len(view.rows), SAMPLE).tolist()
        sample = view.values[rows]
        told: dict[str, dict[str, float]] = {}
        for name in names[:MOST_SENSITIVE]:
            if name not in view.looks:
                continue
            known = view.values if name in used else view.looks[name].column.to_frame()
            about, value = spelt(known[name][rows])
            there = ~np.isnan(about)
            if np.unique(about[there]).size < 2:
                continue
            goal = about[there] if value else about[there].astype(np.int64)
            power = {
                other: power_of(levels_of(sample[other].filter(there)), goal, value)
                for other in used[:MOST_COLUMNS]
                if other not in names
            }
            found = {other: p for other, p in power.items() if p >= TELLING}
            if found:
                told[name] = dict(sorted(found.items(), key=lambda item: -item[1]))
        if told:
            yield self._finding(told)

    def _finding(self, told: dict[str, dict[str, float]]) -> Finding:
        shown = [
            f"from {listed([f'{by} ({power:.0%})' for by, power in found.items()], 3)}"
            for found in told.values()
        ]
        title = f"{next(iter(told))} can be told {shown[0]}"
        if len(told) > 1:
            each = [f"{name} {words}" for name, words in zip(told, shown, strict=True)]
            title = f"{len(told)} sensitive columns can be told from others: {'; '.join(each[:4])}"
        return Finding(
            self.code,
            "tip",
            title,
            next(iter(told)) if len(told) == 1 else None,
            {"told": told},
            "leaving a sensitive column out does not make a model blind to it; compare figures by "
            "group instead",
        )


def spelt(column: pl.Series) -> tuple[Array, bool]:
    """A sensitive column as something to tell, NaN where missing, and whether it is a number.

    Of words only the commonest 30 count, so that a column of names is not taken for groups.
    """
    numbers = numbers_of(column)
    if numbers is not None and column.n_unique() > MOST_GROUPS:
        return numbers, True
    text = column.cast(pl.String)
    common = text.drop_nulls().value_counts(sort=True, name="count").head(MOST_GROUPS)
    codes = text.set(~text.is_in(common[column.name].to_list()), None).rank("dense")
    return codes.cast(pl.Float64).to_numpy() - 1, False


CHECK = Proxies()
