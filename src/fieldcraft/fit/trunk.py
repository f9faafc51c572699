"""Trunks: what joins the encoded columns and ends in the outputs."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from fieldcraft.fit.dropout import ReluDropout


class TabM(nn.Module):
    """Many MLPs that share their weights: TabM-mini.

    Each member multiplies the joined features by signs or scales of its own, passes them through
    the shared layers, and ends in a head of its own. Gorishniy et al., *TabM: Advancing Tabular
    Deep Learning with Parameter-Efficient Ensembling*, ICLR 2025.
    """

    def __init__(
        self,
        feature_widths: tuple[int, ...],
        n_outputs: int,
        *,
        n_members: int,
        hidden_size: int,
        n_layers: int,
        dropout: float,
    ) -> None:
        """Set up for feature vectors of the given widths.

        Args:
            feature_widths: width of each feature's vector.
            n_outputs: outputs a row.
            n_members: how many MLPs.
            hidden_size: units of each shared layer.
            n_layers: how many shared layers.
            dropout: share of units dropped in training.
        """
        super().__init__()
        scales_by_feature = [init_member_scales(n_members, width) for width in feature_widths]
        self.input_scales = nn.Parameter(torch.cat(scales_by_feature, dim=1))
        self.input_layer = nn.Linear(sum(feature_widths), hidden_size)
        modules: list[nn.Module] = [ReluDropout(dropout)]
        for _ in range(n_layers - 1):
            modules += [nn.Linear(hidden_size, hidden_size), ReluDropout(dropout)]
        self.shared_layers = nn.Sequential(*modules)
        bound = hidden_size**-0.5
        self.head = nn.Parameter(
            torch.empty(n_members, hidden_size, n_outputs).uniform_(-bound, bound)
        )
        self.head_bias = nn.Parameter(torch.empty(n_members, 1, n_outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs of each member, shape (rows, members, width)."""
        hidden: Tensor = self.shared_layers(self.apply_input_layer(x))
        return (hidden.transpose(0, 1) @ self.head + self.head_bias).transpose(0, 1)

    def apply_input_layer(self, x: Tensor) -> Tensor:
        """The first layer of each member, shape (rows, members, hidden).

        (x * scales) @ W is x @ (scales * W): unless there are fewer rows than units, scaling the
        weights is cheaper, and in an exported network the scaled weights are constants.
        """
        n_members, hidden_size = len(self.input_scales), len(self.input_layer.bias)
        if self.training and len(x) < hidden_size:
            scaled_inputs: Tensor = self.input_layer(x[:, None, :] * self.input_scales)
            return scaled_inputs
        weights = (self.input_scales[:, None, :] * self.input_layer.weight).flatten(0, 1)
        bias = self.input_layer.bias.repeat(n_members)
        return nn.functional.linear(x, weights, bias).view(-1, n_members, hidden_size)


def init_member_scales(n_members: int, width: int) -> Tensor:
    """How each member scales one feature at the start: one number for all of an embedding, a
    random sign for a plain number."""
    if width > 1:
        return torch.randn(n_members, 1).expand(n_members, width)
    return torch.randint(0, 2, (n_members, 1)).float() * 2 - 1


class MLP(nn.Module):
    """Dense layers with ReLU and dropout, one after the other."""

    def __init__(
        self,
        feature_widths: tuple[int, ...],
        n_outputs: int,
        *,
        hidden_sizes: tuple[int, ...],
        dropout: float,
    ) -> None:
        """Set up with the units of each hidden layer."""
        super().__init__()
        layer_sizes = [sum(feature_widths), *hidden_sizes]
        modules: list[nn.Module] = []
        for in_features, out_features in pairwise(layer_sizes):
            modules += [nn.Linear(in_features, out_features), ReluDropout(dropout)]
        output_layer = nn.Linear(layer_sizes[-1], n_outputs)
        output_layer.is_output = True  # type: ignore[assignment]
        self.layers = nn.Sequential(*modules, output_layer)

    def forward(self, x: Tensor) -> Tensor:
        """Raw outputs of the only member, shape (rows, 1, width)."""
        logits: Tensor = self.layers(x)
        return logits[:, None, :]
