"""Gaps that tell of the target: where a value is missing, the target is another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import listed
from fieldcraft.evidence.association import each_target, power_of, purest, variance_told
from fieldcraft.evidence.order import spread_out
from fieldcraft.evidence.records import Finding, sole

FEWEST = 20  # rows with a gap, and rows without
LEAK = 0.9  # from here on the check `leak` speaks
STRONG = 0.5
ONE_SIDED = 0.8
TOLD = 0.01  # of the target's variance
CHANCE = 15.0  # chi-square of one degree of freedom: 1 in 10,000


@dataclass(frozen=True)
class Gap:
    """How much the gaps of a column tell."""

    name: str
    told: float
    power: float
    lift: float
    filled: bool  # whether it is the rows with a value that are nearly all of one class


class InformativeGaps:
    """Reports columns whose gaps go with the target."""

    code = "informative_gaps"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare training rows with and without a value, column by column and row by row."""
        if view.y is None or view.task is None or not view.schema.columns:
            return
        value = view.task.output == "value"
        missing = {c.name: view.values[c.name].is_null().to_numpy() for c in view.schema.columns}
        for target, y in each_target(view.y, view.targets):
            gaps = [gap for name, rows in missing.items() if (gap := weigh(name, rows, y, value))]
            strong = [gap for gap in gaps if gap.power >= STRONG or gap.lift >= ONE_SIDED]
            yield from self._strong([gap for gap in strong if gap.power < LEAK], target)
            yield from self._mild([gap for gap in gaps if gap not in strong], target)
            yield from self._empty_rows(np.sum(list(missing.values()), axis=0), y, value, target)

    def _strong(self, gaps: list[Gap], target: str) -> Iterator[Finding]:
        if not gaps:
            return
        gaps = sorted(gaps, key=lambda gap: -max(gap.power, gap.lift))
        names, first = [gap.name for gap in gaps], gaps[0]
        what = f"whether {listed(names)} has a value tells {first.power:.0%} of {target}"
        if first.lift > first.power:
            side = "filled" if first.filled else "empty"
            what = f"where {listed(names)} is {side}, {target} is {first.lift:.0%} certain"
        yield Finding(
            self.code,
            "warn",
            what,
            sole(names),
            {"gaps": {gap.name: {"power": gap.power, "lift": gap.lift} for gap in gaps}},
            "ask who fills it and when; if only after the event, drop it",
        )

    def _mild(self, gaps: list[Gap], target: str) -> Iterator[Finding]:
        if not gaps:
            return
        gaps = sorted(gaps, key=lambda gap: -gap.told)
        names, most = [gap.name for gap in gaps], f"{gaps[0].told:.0%} of its variance"
        title = f"gaps of {names[0]} go with {target} ({most})"
        if len(names) > 1:
            title = f"gaps of {len(names)} columns go with {target}: {listed(names)} (up to {most})"
        yield Finding(
            self.code,
            "tip",
            title,
            sole(names),
            {"told": {gap.name: gap.told for gap in gaps}},
            "models are told where values are missing; make sure that gaps come about in the same "
            "way at prediction",
        )

    def _empty_rows(self, counts: Array, y: Array, value: bool, target: str) -> Iterator[Finding]:
        codes = np.unique(counts, return_inverse=True)[1]
        power = power_of(codes, y, value)
        if power >= STRONG and codes.max() > 1:
            yield Finding(
                self.code,
                "warn",
                f"the number of gaps in a row tells {power:.0%} of {target}",
                None,
                {"power": power, "most": int(counts.max())},
                "rows of different classes seem to come from different sources or times; find out "
                "how they were put together",
            )


def weigh(name: str, missing: Array, y: Array, value: bool) -> Gap | None:
    """How much the gaps of one column tell, or None if that may be chance."""
    if min(missing.sum(), (~missing).sum()) < FEWEST:
        return None
    codes = missing.astype(np.int64)
    told = variance_told(codes, spread_out(y, value))
    if told < TOLD or told * len(y) < CHANCE:
        return None
    pure = None if value else purest(codes, y)
    filled = pure is not None and pure.code == 0
    return Gap(name, told, power_of(codes, y, value), pure.lift if pure else 0.0, filled)


CHECK = InformativeGaps()
