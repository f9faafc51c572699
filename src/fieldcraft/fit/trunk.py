"""Trunks: what joins the encoded columns and ends in the outputs."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from fieldcraft.fit.dropout import DropRelu


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
        blocks: list[nn.Module] = [DropRelu(dropout)]
        for _ in range(layers - 1):
            blocks += [nn.Linear(hidden, hidden), DropRelu(dropout)]
        self.shared = nn.Sequential(*blocks)
        bound = hidden**-0.5
        self.head = nn.Parameter(torch.empty(members, hidden, width).uniform_(-bound, bound))
        self.head_bias = nn.Parameter(torch.empty(members, 1, width).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs of each member, shape (rows, members, width)."""
        last: Tensor = self.shared(self.scaled(x))
        return (last.transpose(0, 1) @ self.head + self.head_bias).transpose(0, 1)

    def scaled(self, x: Tensor) -> Tensor:
        """The first layer of each member, shape (rows, members, hidden).

        (x * scales) @ W is x @ (scales * W): unless there are fewer rows than units, scaling the
        weights is cheaper, and in an exported network the scaled weights are constants.
        """
        members, hidden = len(self.adapter), len(self.first.bias)
        if self.training and len(x) < hidden:
            joined: Tensor = self.first(x[:, None, :] * self.adapter)
            return joined
        weights = (self.adapter[:, None, :] * self.first.weight).flatten(0, 1)
        bias = self.first.bias.repeat(members)
        return nn.functional.linear(x, weights, bias).view(-1, members, hidden)


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
            blocks += [nn.Linear(before, after), DropRelu(dropout)]
        output = nn.Linear(sizes[-1], width)
        output.is_output = True  # type: ignore[assignment]
        self.body = nn.Sequential(*blocks, output)

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs of the only member, shape (rows, 1, width)."""
        raw: Tensor = self.body(x)
        return raw[:, None, :]
