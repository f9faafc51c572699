"""Trunks: what joins the encoded columns and ends in the outputs."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from fieldcraft.fit.dropout import Dropout


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
        self.first = nn.Linear(sum(chunks), hidden)
        blocks: list[nn.Module] = [nn.ReLU(), Dropout(dropout)]
        for _ in range(layers - 1):
            blocks += [nn.Linear(hidden, hidden), nn.ReLU(), Dropout(dropout)]
        self.shared = nn.Sequential(*blocks)
        bound = hidden**-0.5
        self.head = nn.Parameter(torch.empty(members, hidden, width).uniform_(-bound, bound))
        self.head_bias = nn.Parameter(torch.empty(members, 1, width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs of each member, shape (rows, members, width)."""
        joined = self.scaled_rows(x) if self.training else self.scaled_weights(x)
        last: Tensor = self.shared(joined)
        return (last.transpose(0, 1) @ self.head + self.head_bias).transpose(0, 1)

    def scaled_rows(self, x: Tensor) -> Tensor:
        """The first layer for each member: by scaling rows, or weights where those are fewer."""
        if len(x) >= len(self.first.bias):
            return self.scaled_weights(x)
        joined: Tensor = self.first(x[:, None, :] * self.adapter)
        return joined

    def scaled_weights(self, x: Tensor) -> Tensor:
        """The first layer for each member, its weights scaled instead of the rows.

        (x * scales) @ W is x @ (scales * W): the product of rows and members is never stored,
        and in an exported network the scaled weights are constants.
        """
        weights = (self.adapter[:, None, :] * self.first.weight).flatten(0, 1)
        members, hidden = len(self.adapter), len(self.first.bias)
        return nn.functional.linear(x, weights).reshape(-1, members, hidden) + self.first.bias


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
        for before, after in pairwise(sizes):
            blocks += [nn.Linear(before, after), nn.ReLU(), Dropout(dropout)]
        output = nn.Linear(sizes[-1], width)
        output.is_output = True  # type: ignore[assignment]
        self.body = nn.Sequential(*blocks, output)

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs of the only member, shape (rows, 1, width)."""
        raw: Tensor = self.body(x)
        return raw[:, None, :]
