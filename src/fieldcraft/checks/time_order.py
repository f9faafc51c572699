"""Rows with a date whose target changes or carries over in the course of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.association import each_target, numbers_of, rank_correlation
from fieldcraft.evidence.order import drift, neighbours, spread_out
from fieldcraft.evidence.records import Finding

FEWEST = 100
SURE = 6.0  # deviations from what shuffled rows show
SEEN = 0.03
STRONG = 0.1
IN_ORDER = 0.999  # rank correlation of the date with the number of the row
FILLED = 0.95
MOST_COLUMNS = 20


@dataclass(frozen=True)
class Course:
    """How the target goes with time as one column tells it."""

    column: str
    target: str
    drift: float
    alike: float
    in_order: bool

    @property
    def strength(self) -> float:
        """The stronger of drift and likeness."""
        return max(self.drift, self.alike)

    def in_words(self) -> str:
        """What the target does in the course of time."""
        if self.drift >= self.alike:
            return f"changes with {self.column} ({self.drift:.0%} of its variance)"
        return f"is alike in rows near in {self.column} ({self.alike:.0%} of the way to equal)"


class TimeOrder:
    """Reports targets that drift or carry over while rows are split by lot."""

    code = "time_order"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Look at the training target in the order of each date, unless time is declared."""
        if view.task is None or view.y is None or len(view.y) < FEWEST or view.time:
            return
        courses = list(courses_of(view))
        seen = [course for course in courses if course.strength >= SEEN]
        if not seen:
            return
        found = max(seen, key=lambda course: (course.in_order, course.strength))
        strong = found.strength >= STRONG
        # Only where the file itself is in the order of the one date is it sure which time counts.
        clear = strong and found.in_order and len({course.column for course in courses}) == 1
        fixes = (Edit(("data", "time"), found.column), Edit(("split", "rule"), "time"))
        others = sorted({course.column for course in seen} - {found.column})
        yield Finding(
            self.code,
            "warn" if strong else "tip",
            f"{found.target} {found.in_words()}",
            found.column,
            {"drift": found.drift, "alike": found.alike, "other_columns": others},
            "if rows to come are later than these, split by time (data.time, split.rule: time): a "
            "split by lot lets the model look ahead",
            fixes if clear else (),
        )


def courses_of(view: View) -> Iterable[Course]:
    """How each target goes with each date that nearly all rows have."""
    dates = [c.name for c in view.schema.columns if view.values[c.name].dtype.is_temporal()]
    rows = np.asarray(view.rows, dtype=np.float64)
    for name in dates[:MOST_COLUMNS]:
        times = numbers_of(view.values[name])
        if times is None or (there := ~np.isnan(times)).mean() < FILLED or view.y is None:
            continue
        order = np.flatnonzero(there)[np.argsort(times[there], kind="stable")]
        if times[order[0]] == times[order[-1]] or len(order) < FEWEST:
            continue
        in_order = abs(rank_correlation(times[there], rows[there])) >= IN_ORDER
        for target, y in each_target(view.y, view.targets):
            columns = spread_out(y[order], view.task is not None and view.task.output == "value")
            yield course(name, target, columns, in_order)


def course(name: str, target: str, columns: Array, in_order: bool) -> Course:
    """How a target in the order of time drifts and carries over."""
    near, slow = neighbours(columns), drift(columns)
    if max(near.score, slow.score) < SURE:
        return Course(name, target, 0.0, 0.0, in_order)
    return Course(name, target, slow.share, near.share, in_order)


CHECK = TimeOrder()
