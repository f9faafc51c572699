"""The encoder net of numbers: piecewise-linear embeddings.

Gorishniy et al., *On Embeddings for Numerical Features in Tabular Deep Learning*, NeurIPS 2022.
A linear embedding plus a piecewise-linear one whose weights start at zero, as in TabM (Gorishniy
et al., ICLR 2025).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fieldcraft.kinds.number.encode import NumberEncoder

EMBEDDING_DIM = 16
NARROW_EMBEDDING_DIM = 8
NARROW_ABOVE_FEATURES = 200  # with more features, narrow embeddings bound the width of the trunk


class NumberNet(nn.Module):
    """Embeds each number; flags of missing values pass unchanged."""

    def __init__(self, encoder: NumberEncoder, without_embeddings: bool = False) -> None:
        """Set up for the inputs ``number`` and ``number_missing`` of a fitted encoder.

        Args:
            encoder: the fitted encoder.
            without_embeddings: pass the numbers on unchanged.
        """
        super().__init__()
        n_features = len(encoder.bin_edges)
        # If all columns are constant, the encoder gives one input of zeros: see `_tensors` there.
        n_flags = sum(
            number_transform.has_missing for number_transform in encoder.transforms
        ) or int(not n_features)
        self.embedding = (
            PiecewiseLinearEmbedding(encoder.bin_edges)
            if n_features and not without_embeddings
            else None
        )
        self.recipe = None
        self.inputs = ("number",) * bool(n_features) + ("number_missing",) * bool(n_flags)
        embedding_dim = self.embedding.embedding_dim if self.embedding else 1
        self.feature_widths = (embedding_dim,) * n_features + (1,) * n_flags

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Vectors of all numbers side by side, shape (rows, sum of feature widths)."""
        parts = [tensors[name] for name in self.inputs]
        if self.embedding:
            parts[0] = self.embedding(parts[0])
        return torch.cat(parts, dim=1)


class PiecewiseLinearEmbedding(nn.Module):
    """A linear plus a piecewise-linear embedding for each of several features."""

    slope: Tensor
    offset: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, bin_edges: list[np.ndarray]) -> None:
        """Set up with the bin edges of each feature."""
        super().__init__()
        n_features = len(bin_edges)
        self.embedding_dim = (
            NARROW_EMBEDDING_DIM if n_features > NARROW_ABOVE_FEATURES else EMBEDDING_DIM
        )
        max_bins = max(len(edges) for edges in bin_edges) - 1
        slope, offset = torch.zeros(n_features, max_bins), torch.zeros(n_features, max_bins)
        low, high = torch.zeros(n_features, max_bins), torch.ones(n_features, max_bins)
        # Features with fewer bins than others are padded: slope and offset 0 encode a bin as 0.
        for i, edges in enumerate(bin_edges):
            n_bins = len(edges) - 1
            widths = torch.as_tensor(np.diff(edges), dtype=torch.float32)
            starts = torch.as_tensor(edges[:-1], dtype=torch.float32)
            slope[i, :n_bins] = 1 / widths
            offset[i, :n_bins] = -starts / widths
            low[i, 0] = -torch.inf  # the first and the last piece extrapolate
            high[i, n_bins - 1] = torch.inf
        for name, value in (("slope", slope), ("offset", offset), ("low", low), ("high", high)):
            self.register_buffer(name, value)
        bound = self.embedding_dim**-0.5
        self.weight = nn.Parameter(
            torch.empty(n_features, self.embedding_dim).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(
            torch.empty(n_features, self.embedding_dim).uniform_(-bound, bound)
        )
        self.piece_weights = nn.Parameter(torch.zeros(n_features, max_bins, self.embedding_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Embed numbers of shape (rows, features) as (rows, features * embedding_dim)."""
        encoded = (x[:, :, None] * self.slope + self.offset).clamp(self.low, self.high)
        piecewise = (encoded.transpose(0, 1) @ self.piece_weights).transpose(0, 1)
        return (piecewise + x[:, :, None] * self.weight + self.bias).flatten(1)
