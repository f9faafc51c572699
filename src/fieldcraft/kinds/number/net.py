"""Piecewise-linear embeddings of numbers.

Gorishniy et al., *On Embeddings for Numerical Features in Tabular Deep Learning*, NeurIPS 2022;
a linear embedding with a piecewise-linear one added to it that starts at zero, as in TabM
(Gorishniy et al., ICLR 2025).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from fieldcraft.kinds.number.encode import NumberEncoder

WIDTH = 16
NARROW_WIDTH = 8
MANY_FEATURES = 200


class NumberNet(nn.Module):
    """Embeds each number in a vector; flags of missing values pass as they are."""

    def __init__(self, encoder: NumberEncoder, plain: bool = False) -> None:
        """Set up the net for what an encoder gives: inputs ``number`` and ``number_missing``.

        Args:
            encoder: the fitted encoder.
            plain: pass the numbers on as they are, without embedding them.
        """
        super().__init__()
        features = len(encoder.bins)
        flags = sum(shape.has_missing for shape in encoder.shapes) or int(not features)
        self.embed = PiecewiseLinear(encoder.bins) if features and not plain else None
        self.recipe = None
        self.inputs = ("number",) * bool(features) + ("number_missing",) * bool(flags)
        width = self.embed.width if self.embed else 1
        self.chunks = (width,) * features + (1,) * flags

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Vectors of all numbers side by side, shape (rows, sum of chunks)."""
        parts = [tensors[name] for name in self.inputs]
        if self.embed:
            parts[0] = self.embed(parts[0])
        return torch.cat(parts, dim=1)


class PiecewiseLinear(nn.Module):
    """A linear embedding plus a piecewise-linear one for each of several features."""

    slope: Tensor
    offset: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, bins: list[np.ndarray]) -> None:
        """Set up with the edges of each feature's bins."""
        super().__init__()
        features = len(bins)
        self.width = NARROW_WIDTH if features > MANY_FEATURES else WIDTH
        most = max(len(edges) for edges in bins) - 1
        slope, offset = torch.zeros(features, most), torch.zeros(features, most)
        low, high = torch.zeros(features, most), torch.ones(features, most)
        for i, edges in enumerate(bins):
            count = len(edges) - 1
            widths = torch.as_tensor(np.diff(edges), dtype=torch.float32)
            starts = torch.as_tensor(edges[:-1], dtype=torch.float32)
            slope[i, :count] = 1 / widths
            offset[i, :count] = -starts / widths
            low[i, 0] = -torch.inf  # the first and the last piece go on beyond the bins
            high[i, count - 1] = torch.inf
        for name, value in (("slope", slope), ("offset", offset), ("low", low), ("high", high)):
            self.register_buffer(name, value)
        bound = self.width**-0.5
        self.weight = nn.Parameter(torch.empty(features, self.width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(features, self.width).uniform_(-bound, bound))
        self.pieces = nn.Parameter(torch.zeros(features, most, self.width))

    def forward(self, x: Tensor) -> Tensor:
        """Embed numbers of shape (rows, features) as (rows, features * width)."""
        encoded = (x[:, :, None] * self.slope + self.offset).clamp(self.low, self.high)
        bent = (encoded.transpose(0, 1) @ self.pieces).transpose(0, 1)
        return (bent + x[:, :, None] * self.weight + self.bias).flatten(1)
