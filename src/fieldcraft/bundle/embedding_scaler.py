"""Standardize the embeddings of a pretrained backbone, fitted on training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fieldcraft.core.types import Array

# A row unlike all training rows may lie hundreds of standard deviations away in a direction in
# which training hardly varied, and would outweigh everything else that a model reads.
MAX_ABS_ZSCORE = 10.0  # standard deviations at which values are clipped
MIN_STD = 1e-6  # below which a direction counts as constant and is only centered


@dataclass(frozen=True)
class EmbeddingScaler:
    """Mean and standard deviation of the embeddings of a column's training rows.

    Attributes:
        mean: shape (embedding size,).
        std: shape (embedding size,).
    """

    mean: Array
    std: Array

    def transform(self, embeddings: Array | None) -> Array:
        """Standardized embeddings, zero where a row has none; (rows, embedding size)."""
        assert embeddings is not None, "the column is encoded with a pretrained backbone"
        z_scores = np.clip((embeddings - self.mean) / self.std, -MAX_ABS_ZSCORE, MAX_ABS_ZSCORE)
        return np.nan_to_num(z_scores, nan=0.0)


def fit_embedding_scaler(embeddings: Array) -> EmbeddingScaler:
    """Fit on the embeddings of training rows, NaN where a row has none."""
    present = embeddings[~np.isnan(embeddings).any(axis=1)]
    if not len(present):
        return EmbeddingScaler(np.zeros(embeddings.shape[1]), np.ones(embeddings.shape[1]))
    std = present.std(axis=0, dtype=np.float64)
    return EmbeddingScaler(
        present.mean(axis=0, dtype=np.float64), np.where(std > MIN_STD, std, 1.0)
    )
