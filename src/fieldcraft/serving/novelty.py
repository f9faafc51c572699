"""Which rows hold what training did not show: words never seen, numbers out of its range."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from fieldcraft.bundle.odd import MEASURE
from fieldcraft.contracts import Array, Json


class Novelty:
    """What training has shown of numbers and words, ready to be compared with single rows."""

    def __init__(self, columns: Mapping[str, Json]) -> None:
        """Prepare the columns of a bundle's profile."""
        known = {name: found[MEASURE] for name, found in columns.items() if MEASURE in found}
        numbers = {n: about for n, about in known.items() if about["form"] == "number"}
        self.numbers = list(numbers)
        self.low = np.array([about["low"] for about in numbers.values()])
        self.high = np.array([about["high"] for about in numbers.values()])
        self.words = {
            name: frozenset(about["seen"])
            for name, about in known.items()
            if about["form"] == "word" and about["seen"] is not None
        }

    def of(self, values: pl.DataFrame) -> tuple[Array, dict[str, int], dict[str, int]]:
        """Which rows are new in some column, numbers out of range and unseen words by column."""
        new = np.zeros(values.height, dtype=bool)
        beyond, unseen = dict[str, int](), dict[str, int]()
        if self.numbers:
            columns = [values[name].cast(pl.Float64).to_numpy() for name in self.numbers]
            found = np.stack(columns, axis=1)  # quicker for few rows than a selection
            far = (found < self.low) | (found > self.high)  # a missing value is neither
            if far.any():
                new |= far.any(axis=1)
                counts = zip(self.numbers, far.sum(axis=0).tolist(), strict=True)
                beyond = {name: count for name, count in counts if count}
        for name, seen in self.words.items():
            words = values[name].cast(pl.String).to_list()
            odd = [row for row, word in enumerate(words) if word is not None and word not in seen]
            if odd:
                new[odd] = True
                unseen[name] = len(odd)
        return new, beyond, unseen
