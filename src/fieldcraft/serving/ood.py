"""Which rows hold what training did not show: words never seen, numbers out of its range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from fieldcraft.bundle.input_anomalies import VALUE_STATISTIC
from fieldcraft.core.types import Array, Json


class OutOfRangeDetector:
    """What training has shown of numbers and words, ready to be compared with single rows."""

    def __init__(self, column_profiles: Mapping[str, Json]) -> None:
        """Prepare the columns of a bundle's profile."""
        profiles = {
            name: statistics[VALUE_STATISTIC]
            for name, statistics in column_profiles.items()
            if VALUE_STATISTIC in statistics
        }
        numbers = {
            column: profile for column, profile in profiles.items() if profile["form"] == "number"
        }
        self.number_columns = list(numbers)
        self.minimum = np.array([profile["low"] for profile in numbers.values()])
        self.maximum = np.array([profile["high"] for profile in numbers.values()])
        self.known_categories = {
            name: frozenset(profile["seen"])
            for name, profile in profiles.items()
            if profile["form"] == "word" and profile["seen"] is not None
        }

    def detect(self, values: pl.DataFrame) -> tuple[Array, dict[str, int], dict[str, int]]:
        """Which rows are new in some column, numbers out of range and unseen words by column."""
        is_ood = np.zeros(values.height, dtype=bool)
        n_out_of_range, n_unseen = dict[str, int](), dict[str, int]()
        if self.number_columns:
            columns = [values[name].cast(pl.Float64).to_numpy() for name in self.number_columns]
            numbers = np.stack(columns, axis=1)  # quicker for few rows than a selection
            is_outside = (numbers < self.minimum) | (
                numbers > self.maximum
            )  # a missing value is neither
            if is_outside.any():
                is_ood |= is_outside.any(axis=1)
                counts = zip(self.number_columns, is_outside.sum(axis=0).tolist(), strict=True)
                n_out_of_range = {name: count for name, count in counts if count}
        for name, known in self.known_categories.items():
            words = values[name].cast(pl.String).to_list()
            unseen_rows = [
                row for row, word in enumerate(words) if word is not None and word not in known
            ]
            if unseen_rows:
                is_ood[unseen_rows] = True
                n_unseen[name] = len(unseen_rows)
        return is_ood, n_out_of_range, n_unseen
