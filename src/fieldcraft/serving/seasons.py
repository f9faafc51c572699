"""Days and weeks that come again: windows are compared with those of the same time before.

What differs by day and night differs from any one reference. So with a season the windows of a
whole day or week, taken together, are compared with the reference rows in the bundle, and each
window with those of the same hours before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from fieldcraft.contracts import Array, Json
from fieldcraft.evidence.stream import Gathering
from fieldcraft.project.settings import SEASONS

MONDAY = 4 * SEASONS["day"]  # the first one after the start of 1970, from which weeks are counted
EARLIER = Gathering(rows=500, windows=2)  # windows of a slot with which later ones are compared


@dataclass
class Season:
    """Where windows are in their day or week, and what a whole one has held.

    Attributes:
        name: ``day`` or ``week``.
        every: length of a window in seconds, of which a season has a whole number.
        turn: number of the season that is under way; None before the first.
        passed: windows of it so far, and how many of them could be judged.
        counts: of its rows, by measure.
        windows: in how many windows a measure was counted.
    """

    name: str
    every: float
    turn: int | None = None
    passed: tuple[int, int] = (0, 0)
    counts: dict[str, Array] = field(default_factory=dict)
    windows: dict[str, int] = field(default_factory=dict)

    @property
    def length(self) -> float:
        """Of the season, in seconds."""
        return SEASONS[self.name]

    def slot(self, first: datetime) -> int:
        """The number of a window within its season."""
        return int((first.timestamp() - MONDAY) % self.length // self.every)

    def add(self, first: datetime, counts: Mapping[str, Array] | None) -> dict[str, Array]:
        """Take in a window; with the last one of a season, the counts of all of it.

        A season of which windows are missing is not told, nor a measure that was left out of one.

        Args:
            first: when the window starts.
            counts: of its measures; None if it has not enough rows.
        """
        turn = int((first.timestamp() - MONDAY) // self.length)
        if turn != self.turn:
            self.turn, self.passed, self.counts, self.windows = turn, (0, 0), {}, {}
        passed, judged = self.passed
        self.passed = passed + 1, judged + (counts is not None)
        for key, window in (counts or {}).items():
            self.counts[key] = self.counts.get(key, 0) + np.asarray(window)
            self.windows[key] = self.windows.get(key, 0) + 1
        if self.passed[0] * self.every < self.length:
            return {}
        return {key: c for key, c in self.counts.items() if self.windows[key] == self.passed[1]}

    def state(self) -> Json:
        """What is to be kept between runs."""
        return {
            "every": self.every, "turn": self.turn, "passed": list(self.passed),
            "windows": self.windows,
            "counts": {key: counts.tolist() for key, counts in self.counts.items()},
        }  # fmt: skip

    def restore(self, state: Json) -> None:
        """Go on from what was kept."""
        self.turn, self.windows = state["turn"], dict(state["windows"])
        self.passed = state["passed"][0], state["passed"][1]
        self.counts = {key: np.asarray(counts) for key, counts in state["counts"].items()}
