"""Trunks: networks from the joined features of all columns to the outputs."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from fieldcraft.fit.dropout import ReluDropout


class TabM(nn.Module):
    """TabM-mini: an ensemble of MLPs that share most of their weights.

    Each member multiplies the joined features by its own scales, applies the shared layers, and
    ends in its own head. Gorishniy et al., *TabM: Advancing Tabular Deep Learning with
    Parameter-Efficient Ensembling*, ICLR 2025.
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
        """Create the trunk for feature vectors of the given widths.

        Args:
            feature_widths: width of each feature's vector.
            n_outputs: outputs per row.
            n_members: number of MLPs.
            hidden_size: units of each shared layer.
            n_layers: number of shared layers.
            dropout: dropout probability.
        """
        super().__init__()
        scales_by_feature = [init_member_scales(n_members, width) for width in feature_widths]
        self.input_scales = nn.Parameter(torch.cat(scales_by_feature, dim=1))
        self.input_layer = nn.Linear(sum(feature_widths), hidden_size)
        modules: list[nn.Module] = [ReluDropout(dropout)]
        for _ in range(n_layers - 1):
            modules += [nn.Linear(hidden_size, hidden_size), ReluDropout(dropout)]
        self.shared_layers = nn.Sequential(*modules)
        # As `nn.Linear` initializes itself.
        bound = hidden_size**-0.5
        self.head = nn.Parameter(
            torch.empty(n_members, hidden_size, n_outputs).uniform_(-bound, bound)
        )
        self.head_bias = nn.Parameter(torch.empty(n_members, 1, n_outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Logits of each member, shape (rows, members, outputs)."""
        # With members as the first axis, the heads are one batched product.
        hidden: Tensor = self.shared_layers(self.apply_input_layer(x))
        return (hidden.transpose(0, 1) @ self.head + self.head_bias).transpose(0, 1)

    def apply_input_layer(self, x: Tensor) -> Tensor:
        """The first layer of each member, shape (rows, members, hidden).

        (x * scales) @ W equals x @ (scales * W). Scaling the weights is cheaper unless there are
        fewer rows than units (41.7 to 27.2 ms a step; docs/log.md), and in an exported network the
        scaled weights are constants.
        """
        n_members, hidden_size = len(self.input_scales), len(self.input_layer.bias)
        if self.training and len(x) < hidden_size:
            scaled_inputs: Tensor = self.input_layer(x[:, None, :] * self.input_scales)
            return scaled_inputs
        weights = (self.input_scales[:, None, :] * self.input_layer.weight).flatten(0, 1)
        bias = self.input_layer.bias.repeat(n_members)
        return nn.functional.linear(x, weights, bias).view(-1, n_members, hidden_size)


def init_member_scales(n_members: int, width: int) -> Tensor:
    """Initial scales of one feature for each member.

    A number gets a random sign. An embedding gets one normally distributed scale for its whole
    vector: different scales within it would change its direction, and with it its meaning.
    """
    if width > 1:
        return torch.randn(n_members, 1).expand(n_members, width)
    return torch.randint(0, 2, (n_members, 1)).float() * 2 - 1


class MLP(nn.Module):
    """A multilayer perceptron with ReLU and dropout."""

    def __init__(
        self,
        feature_widths: tuple[int, ...],
        n_outputs: int,
        *,
        hidden_sizes: tuple[int, ...],
        dropout: float,
    ) -> None:
        """Create the trunk with the units of each hidden layer."""
        super().__init__()
        layer_sizes = [sum(feature_widths), *hidden_sizes]
        modules: list[nn.Module] = []
        for in_features, out_features in pairwise(layer_sizes):
            modules += [nn.Linear(in_features, out_features), ReluDropout(dropout)]
        output_layer = nn.Linear(layer_sizes[-1], n_outputs)
        # AdamW trains it even where Muon trains the hidden layers: see `iter_hidden_matrices`.
        output_layer.is_output = True  # type: ignore[assignment]
        self.layers = nn.Sequential(*modules, output_layer)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the only member, shape (rows, 1, outputs)."""
        logits: Tensor = self.layers(x)
        return logits[:, None, :]
