"""Vectors of a pretrained encoder on the scale of the training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import Array

FARTHEST = 10.0  # standard deviations at which a number stops
SMALLEST_SPREAD = 1e-6


@dataclass(frozen=True)
class Meaning:
    """Where the vectors of a column's training texts or photos lie.

    Attributes:
        centre: their mean.
        spread: their standard deviation in each direction.
    """

    centre: Array
    spread: Array

    def encode(self, vectors: Array | None) -> Array:
        """Vectors standardised; zero where there is none."""
        assert vectors is not None, "the column is read with the pretrained encoder"
        found = np.clip((vectors - self.centre) / self.spread, -FARTHEST, FARTHEST)
        return np.nan_to_num(found, nan=0.0)


def learn_meaning(vectors: Array) -> Meaning:
    """Learn the scale from vectors of training rows, NaN where there is none."""
    there = vectors[~np.isnan(vectors).any(axis=1)]
    if not len(there):
        return Meaning(np.zeros(vectors.shape[1]), np.ones(vectors.shape[1]))
    spread = there.std(axis=0, dtype=np.float64)
    return Meaning(
        there.mean(axis=0, dtype=np.float64), np.where(spread > SMALLEST_SPREAD, spread, 1.0)
    )
