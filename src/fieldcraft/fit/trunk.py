"""Trunks: what joins the encoded columns and ends in the outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TabM(nn.Module):
    """Many MLPs that share their weights: TabM-mini.

    Each member multiplies the joined features by signs or scales of its own, passes them through
    the shared layers, and ends in a head of its own. Gorishniy et al., *TabM: Advancing Tabular
    Deep Learning with Parameter-Efficient Ensembling*, ICLR 2025.
    """

    def __init__(
        self,
        chunks: tuple[int, ...],
        width: int,
        *,
        members: int,
        hidden: int,
        layers: int,
        dropout: float,
    ) -> None:
        """Set up for feature vectors of the given widths.

        Args:
            chunks: width of each feature's vector.
            width: outputs a row.
            members: how many MLPs.
            hidden: units of each shared layer.
            layers: how many shared layers.
            dropout: share of units dropped in training.
        """
        super().__init__()
        scales = [member_scales(members, size) for size in chunks]
        self.adapter = nn.Parameter(torch.cat(scales, dim=1))
        sizes = [sum(chunks)] + [hidden] * layers
        blocks: list[nn.Module] = []
        for before, after in zip(sizes[:-1], sizes[1:], strict=True):
            blocks += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        self.shared = nn.Sequential(*blocks)
        bound = sizes[-1] ** -0.5
        self.head = nn.Parameter(torch.empty(members, sizes[-1], width).uniform_(-bound, bound))
        self.head_bias = nn.Parameter(torch.empty(members, 1, width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs of each member, shape (rows, members, width)."""
        hidden = self.shared(x[:, None, :] * self.adapter)
        return (hidden.transpose(0, 1) @ self.head + self.head_bias).transpose(0, 1)


def member_scales(members: int, size: int) -> Tensor:
    """How each member scales one feature at the start: one number for all of an embedding, a
    random sign for a plain number."""
    if size > 1:
        return torch.randn(members, 1).expand(members, size)
    return torch.randint(0, 2, (members, 1)).float() * 2 - 1


class Mlp(nn.Module):
    """Dense layers with ReLU and dropout, one after the other."""

    def __init__(
        self, chunks: tuple[int, ...], width: int, *, layers: tuple[int, ...], dropout: float
    ) -> None:
        """Set up with the units of each hidden layer."""
        super().__init__()
        sizes = [sum(chunks), *layers]
        blocks: list[nn.Module] = []
        for before, after in zip(sizes[:-1], sizes[1:], strict=True):
            blocks += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout)]
        self.body = nn.Sequential(*blocks, nn.Linear(sizes[-1], width))

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs of the only member, shape (rows, 1, width)."""
        raw: Tensor = self.body(x)
        return raw[:, None, :]
