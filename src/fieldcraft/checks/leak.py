"""A column that gives the target away by itself: by its values, or by where it has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed
from fieldcraft.data.names import kin, sounds_later
from fieldcraft.evidence.association import each_target, exactness, levels_of, numbers_of, power_of
from fieldcraft.evidence.records import Finding, sole

CERTAIN = 0.99  # of the target's uncertainty explained by one column: the run stops
SUSPECT = 0.9
EXACT = 0.99  # of a number target: strong is not enough, what an honest lag explains is strong too
FEWEST_FILLED = 50  # rows that a column with gaps is judged on by itself
WITHIN = 0.995  # of the filled rows of one column that are filled in another


@dataclass(frozen=True)
class Known:
    """A column as what it tells by: codes in all rows and in those with a value, and numbers."""

    there: Array
    codes: Array
    filled: Array | None
    numbers: Array | None


@dataclass(frozen=True)
class Told:
    """How much one column tells of a target.

    Attributes:
        power: of its values, in all rows or in those where it has one.
        gaps: of where it has no value.
        filled: share of the rows that the power was taken on.
        certain: whether its values leave no doubt.
    """

    power: float
    gaps: float
    filled: float
    certain: bool


class Leak:
    """Reports columns that alone tell (nearly) all of the target."""

    code = "leak"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Measure how much of the target each column explains on training rows."""
        if view.y is None or view.task is None or not len(view.y):
            return
        value = view.task.output == "value"
        columns = {c.name: known_by(view.values[c.name], value) for c in view.schema.columns}
        for target, y in each_target(view.y, view.targets):
            told = {name: tells(column, y, value) for name, column in columns.items()}
            for name, how in told.items():
                yield from self._findings(name, target, how, value, len(y))
            yield from self._companions(columns, told)

    def _findings(
        self, name: str, target: str, told: Told, value: bool, rows: int
    ) -> Iterator[Finding]:
        power = max(told.power, told.gaps)
        if power < SUSPECT:
            return
        why = named_later(name, target, value)
        stop = told.certain or told.gaps >= SUSPECT or why is not None
        where = f" where it has a value ({told.filled:.0%} of the rows)" if told.filled < 1 else ""
        what = f"{name} alone tells {told.power:.0%} of the target {target}{where}"
        if told.gaps >= SUSPECT:
            what = f"whether {name} has a value tells {told.gaps:.0%} of the target {target}"
        yield Finding(
            self.code,
            "stop" if stop else "warn",
            what + (f", and {why}" if why else ""),
            name,
            {"power": power, "gaps": told.gaps, "rows": rows},
            "ask whether it is known at the moment of prediction; if not, drop it",
            (Edit(("data", "drop"), name, add=True),) if stop else (),
        )

    def _companions(self, columns: dict[str, Known], told: dict[str, Told]) -> Iterator[Finding]:
        """Columns that are filled only where one whose gaps give the target away is filled."""
        found = companions(columns, told)
        if found:
            names, first = list(found), next(iter(found.values()))
            filled = {name: int(columns[name].there.sum()) for name in names}
            yield Finding(
                self.code,
                "warn",
                f"{listed(names)} {'is' if sole(names) else 'are'} filled only where {first} is, "
                "which gives the target away",
                sole(names),
                {"within": found, "filled": filled},
                "they seem to be written after the event too; drop them unless they are known "
                "at the moment of prediction",
                tuple(Edit(("data", "drop"), name, add=True) for name in names),
            )


def companions(columns: dict[str, Known], told: dict[str, Told]) -> dict[str, str]:
    """By column that tells little itself, the leaking column within whose rows it is filled."""
    leaking = [name for name, how in told.items() if how.gaps >= SUSPECT]
    found: dict[str, str] = {}
    for name, column in columns.items():
        count = column.there.sum()
        if name in leaking or told[name].power >= SUSPECT or count < FEWEST_FILLED:
            continue
        for leak in leaking:
            if (column.there & columns[leak].there).sum() >= WITHIN * count:
                found.setdefault(name, leak)
    return found


def known_by(column: pl.Series, value: bool) -> Known:
    """A column made ready to be compared with a target, which may be a number."""
    there = column.is_not_null().to_numpy()
    partly = FEWEST_FILLED <= there.sum() < len(there)
    filled = levels_of(column.filter(there)) if partly else None
    return Known(there, levels_of(column), filled, numbers_of(column) if value else None)


def tells(column: Known, y: Array, value: bool) -> Told:
    """How much one column tells of a target, in all rows and in those where it has a value."""
    there, share = column.there, 1.0
    power = power_of(column.codes, y, value, SUSPECT)
    gaps = power_of(there.astype(np.int64), y, value, SUSPECT)
    if column.filled is not None and power < CERTAIN:
        within = power_of(column.filled, y[there], value, SUSPECT)
        power, share = (within, float(there.mean())) if within > power else (power, share)
    certain = power >= CERTAIN
    if column.numbers is not None and power >= SUSPECT:
        known = ~np.isnan(column.numbers)
        certain = exactness(column.numbers[known], y[known]) >= EXACT
    return Told(power, gaps, share, certain)


def named_later(name: str, target: str, value: bool) -> str | None:
    """What in its name says that a column is known only after the event."""
    later, shared = sounds_later(name), kin(name, target)
    # A list price is no leak of a sale price; whether one event happened tells of the other.
    if shared and not value:
        return f"its name shares {shared!r} with it"
    return f"its name says {later!r}" if later else None


CHECK = Leak()
