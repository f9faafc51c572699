"""Columns that tell who a person is although they do not say it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import listed
from fieldcraft.data.names import sounds_sensitive
from fieldcraft.evidence.association import levels_of, numbers_of, power_of, some
from fieldcraft.evidence.records import Finding, sole

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
        others = [name for name in used if name not in names][:MOST_COLUMNS]
        sample = view.values[rows].select(others)
        told: dict[str, dict[str, float]] = {}
        for name in [name for name in names if name in view.looks][:MOST_SENSITIVE]:
            known = view.values if name in used else view.looks[name].column.to_frame()
            found = tellers(known[name][rows], sample)
            if found:
                told[name] = found
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
            sole(told),
            {"told": told},
            "leaving a sensitive column out does not make a model blind to it; compare figures by "
            "group instead",
        )


def tellers(sensitive: pl.Series, others: pl.DataFrame) -> dict[str, float]:
    """The columns from which a sensitive one can be told, and how well, the best first."""
    about, value = spelt(sensitive)
    there = ~np.isnan(about)
    if np.unique(about[there]).size < 2:
        return {}
    goal = about[there] if value else about[there].astype(np.int64)
    power = {other.name: power_of(levels_of(other.filter(there)), goal, value) for other in others}
    found = {name: p for name, p in power.items() if p >= TELLING}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


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
