"""Dates that tell the target by how long after another date they lie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed
from fieldcraft.evidence.association import each_target, levels_of, numbers_of, power_of
from fieldcraft.evidence.records import Finding, sole

DAY = 86_400.0  # seconds
MOST_COLUMNS = 15
TELLING = 0.4  # of the target; delays that are known beforehand seldom tell as much
CERTAIN = 0.9
BEYOND = 0.05  # what the delay must tell more than each of its dates alone


@dataclass(frozen=True)
class Delay:
    """A date, the one it comes after, and how much the days between them tell of a target."""

    later: str
    earlier: str
    power: float


class Delays:
    """Reports dates that seem to be written after the event, as what follows from it."""

    code = "delay"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Weigh the days between each two dates on training rows."""
        if view.task is None or view.y is None or not len(view.y):
            return
        value = view.task.output == "value"
        for target, y in each_target(view.y, view.targets):
            found: list[Delay] = []
            blamed: set[str] = set()
            for delay in sorted(delays(view, y, value), key=lambda delay: -delay.power):
                # A date that gives the event away makes the days to any other tell much.
                if blamed.isdisjoint((delay.later, delay.earlier)):
                    found.append(delay)
                    blamed.add(delay.later)
            if found:
                yield self._finding(found, target)

    def _finding(self, delays: list[Delay], target: str) -> Finding:
        names = [delay.later for delay in delays]
        shown = [f"{d.later} ({d.power:.0%}, days after {d.earlier})" for d in delays]
        certain = [delay.later for delay in delays if delay.power >= CERTAIN]
        return Finding(
            self.code,
            "stop" if certain else "warn",
            f"how long after another date it lies tells much of {target}: {listed(shown, 4)}",
            sole(names),
            {d.later: {"after": d.earlier, "power": d.power} for d in delays},
            "ask when these dates are written; drop those that are not known at the moment of "
            "prediction",
            tuple(Edit(("data", "drop"), name, add=True) for name in certain),
        )


def delays(view: View, y: Array, value: bool) -> Iterator[Delay]:
    """Pairs of dates of which the days between them tell much more than each date alone."""
    named = [c.name for c in view.schema.columns if view.values[c.name].dtype.is_temporal()]
    days = {name: numbers_of(view.values[name]) for name in named[:MOST_COLUMNS]}
    known = {name: column / DAY for name, column in days.items() if column is not None}
    alone = {name: power_of(levels_of(view.values[name]), y, value) for name in known}
    for pair in combinations(known, 2):
        between = known[pair[1]] - known[pair[0]]
        there = between[~np.isnan(between)]
        power = power_of(levels_of(pl.Series(between)), y, value, TELLING)
        if power >= max(TELLING, max(alone[name] for name in pair) + BEYOND):
            earlier, later = pair if np.median(there) >= 0 else pair[::-1]
            yield Delay(later, earlier, power)


CHECK = Delays()
