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

from fieldcraft.core.types import Array, Json
from fieldcraft.monitoring.drift_detector import WarmupPolicy
from fieldcraft.project.settings import SEASON_SECONDS

FIRST_MONDAY = (
    4 * SEASON_SECONDS["day"]
)  # the first one after the start of 1970, from which weeks are counted
SLOT_WARMUP = WarmupPolicy(
    min_rows=500, min_windows=2
)  # windows of a slot with which later ones are compared


@dataclass
class SeasonTracker:
    """Where windows are in their day or week, and what a whole one has held.

    Attributes:
        name: ``day`` or ``week``.
        window_seconds: length of a window in seconds, of which a season has a whole number.
        season_number: number of the season that is under way; None before the first.
        windows_seen: windows of it so far, and how many of them could be judged.
        counts_by_key: of its rows, by measure.
        windows_by_key: in how many windows a measure was counted.
    """

    name: str
    window_seconds: float
    season_number: int | None = None
    windows_seen: tuple[int, int] = (0, 0)
    counts_by_key: dict[str, Array] = field(default_factory=dict)
    windows_by_key: dict[str, int] = field(default_factory=dict)

    @property
    def length_seconds(self) -> float:
        """Of the season, in seconds."""
        return SEASON_SECONDS[self.name]

    def slot_of(self, start: datetime) -> int:
        """The number of a window within its season."""
        return int((start.timestamp() - FIRST_MONDAY) % self.length_seconds // self.window_seconds)

    def add_window(self, start: datetime, counts: Mapping[str, Array] | None) -> dict[str, Array]:
        """Take in a window; with the last one of a season, the counts of all of it.

        A season of which windows are missing is not told, nor a measure that was left out of one.

        Args:
            start: when the window starts.
            counts: of its measures; None if it has not enough rows.
        """
        number = int((start.timestamp() - FIRST_MONDAY) // self.length_seconds)
        if number != self.season_number:
            self.season_number, self.windows_seen, self.counts_by_key, self.windows_by_key = (
                number,
                (0, 0),
                {},
                {},
            )
        n_windows, n_judged = self.windows_seen
        self.windows_seen = n_windows + 1, n_judged + (counts is not None)
        for key, window_counts in (counts or {}).items():
            self.counts_by_key[key] = self.counts_by_key.get(key, 0) + np.asarray(window_counts)
            self.windows_by_key[key] = self.windows_by_key.get(key, 0) + 1
        if self.windows_seen[0] * self.window_seconds < self.length_seconds:
            return {}
        return {
            key: season_counts
            for key, season_counts in self.counts_by_key.items()
            if self.windows_by_key[key] == self.windows_seen[1]
        }

    def get_state(self) -> Json:
        """What is to be kept between runs."""
        return {
            "every": self.window_seconds, "turn": self.season_number, "passed": list(self.windows_seen),
            "windows": self.windows_by_key,
            "counts": {key: counts.tolist() for key, counts in self.counts_by_key.items()},
        }  # fmt: skip

    def load_state(self, state: Json) -> None:
        """Go on from what was kept."""
        self.season_number, self.windows_by_key = state["turn"], dict(state["windows"])
        self.windows_seen = state["passed"][0], state["passed"][1]
        self.counts_by_key = {key: np.asarray(counts) for key, counts in state["counts"].items()}
