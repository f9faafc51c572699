"""Vectors of a pretrained encoder on the scale of the training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array

MAX_ABS_ZSCORE = 10.0  # standard deviations at which a number stops
MIN_STD = 1e-6


@dataclass(frozen=True)
class EmbeddingScaler:
    """Where the vectors of a column's training texts or photos lie.

    Attributes:
        mean: their mean.
        std: their standard deviation in each direction.
    """

    mean: Array
    std: Array

    def transform(self, embeddings: Array | None) -> Array:
        """Vectors standardised; zero where there is none."""
        assert embeddings is not None, "the column is read with the pretrained encoder"
        z_scores = np.clip((embeddings - self.mean) / self.std, -MAX_ABS_ZSCORE, MAX_ABS_ZSCORE)
        return np.nan_to_num(z_scores, nan=0.0)


def fit_embedding_scaler(embeddings: Array) -> EmbeddingScaler:
    """Learn the scale from vectors of training rows, NaN where there is none."""
    present = embeddings[~np.isnan(embeddings).any(axis=1)]
    if not len(present):
        return EmbeddingScaler(np.zeros(embeddings.shape[1]), np.ones(embeddings.shape[1]))
    std = present.std(axis=0, dtype=np.float64)
    return EmbeddingScaler(
        present.mean(axis=0, dtype=np.float64), np.where(std > MIN_STD, std, 1.0)
    )
