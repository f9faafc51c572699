"""Daily and weekly seasonality: compare windows with earlier ones of the same time.

Traffic that differs between day and night differs from any single reference. With seasonality, the
windows of a whole day or week together are compared with the reference rows of the bundle, and each
window is compared with earlier windows of the same time. The second test alone would not detect
what was wrong from the first windows on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from fieldcraft.core.types import Array, Json
from fieldcraft.monitoring.drift_detector import WarmupPolicy
from fieldcraft.project.settings import SEASON_SECONDS

# 1970-01-01 was a Thursday: weeks start on the Monday after it.
FIRST_MONDAY = 4 * SEASON_SECONDS["day"]
# For the reference of a slot: at least two windows, because a single day may be exceptional.
SLOT_WARMUP = WarmupPolicy(min_rows=500, min_windows=2)


@dataclass
class SeasonTracker:
    """Adds up the windows of a season, and numbers its slots.

    Attributes:
        name: ``day`` or ``week``.
        window_seconds: length of a window; a season is a whole number of windows.
        season_number: number of the current season; None before the first.
        windows_seen: number of windows in the current season, and of those with enough rows.
        counts_by_key: counts by bin in the current season, by statistic.
        windows_by_key: number of its windows that had the statistic.
    """

    name: str
    window_seconds: float
    season_number: int | None = None
    windows_seen: tuple[int, int] = (0, 0)
    counts_by_key: dict[str, Array] = field(default_factory=dict)
    windows_by_key: dict[str, int] = field(default_factory=dict)

    @property
    def length_seconds(self) -> float:
        """Length of the season in seconds."""
        return SEASON_SECONDS[self.name]

    def slot_of(self, start: datetime) -> int:
        """Return the slot of a window: its number within its season, from 0."""
        return int((start.timestamp() - FIRST_MONDAY) % self.length_seconds // self.window_seconds)

    def add_window(self, start: datetime, counts: Mapping[str, Array] | None) -> dict[str, Array]:
        """Add a window; after the last one of a season, return the counts of the whole season.

        There are no counts for a season with gaps, nor for a statistic that a window lacks.

        Args:
            start: start of the window.
            counts: counts by bin of its statistics; None if the window has too few rows.

        Returns:
            Counts of the season by statistic; empty before its last window.
        """
        number = int((start.timestamp() - FIRST_MONDAY) // self.length_seconds)
        if number != self.season_number:
            self.season_number, self.windows_seen, self.counts_by_key, self.windows_by_key = (
                number,
                (0, 0),
                {},
                {},
            )
        n_windows, n_large_enough = self.windows_seen
        self.windows_seen = n_windows + 1, n_large_enough + (counts is not None)
        for key, window_counts in (counts or {}).items():
            self.counts_by_key[key] = self.counts_by_key.get(key, 0) + np.asarray(window_counts)
            self.windows_by_key[key] = self.windows_by_key.get(key, 0) + 1
        if self.windows_seen[0] * self.window_seconds < self.length_seconds:
            return {}
        # A statistic that some windows lack covers only part of a day, which would look like drift.
        return {
            key: season_counts
            for key, season_counts in self.counts_by_key.items()
            if self.windows_by_key[key] == self.windows_seen[1]
        }

    def get_state(self) -> Json:
        """Return the state to save between runs, as JSON."""
        return {
            "window_seconds": self.window_seconds,
            "season_number": self.season_number,
            "windows_seen": list(self.windows_seen),
            "windows": self.windows_by_key,
            "counts": {key: counts.tolist() for key, counts in self.counts_by_key.items()},
        }

    def load_state(self, state: Json) -> None:
        """Restore a saved state."""
        self.season_number, self.windows_by_key = state["season_number"], dict(state["windows"])
        self.windows_seen = state["windows_seen"][0], state["windows_seen"][1]
        self.counts_by_key = {key: np.asarray(counts) for key, counts in state["counts"].items()}
