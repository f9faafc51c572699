"""The fused network: one encoder net per kind of column, and a trunk that joins them.

An encoder net is a module with these attributes:

- ``inputs``: names of the tensors it reads.
- ``feature_widths``: width of each feature's vector; they add up to the width of its output.
- ``recipe``: None for a shallow net, which trains with the trunk's settings; for a deep net, a
  function from the number of training rows to the `TrainingRecipe` of the whole network.
- ``sequence_inputs`` (optional): inputs whose last axis varies between calls, such as tokens.
- ``forward_mixed`` (optional): maps tensors and a `MixupPlan` to features, for a net that mixes
  rows in its own way; of other nets, the features are mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.fit.mixup import MixupPlan
from fieldcraft.fit.settings import TrainingRecipe

TrunkFactory = Callable[[tuple[int, ...], int], nn.Module]


class IdentityNet(nn.Module):
    """An encoder net that returns its one input; each number is a feature."""

    recipe = None

    def __init__(self, input_name: str, n_features: int) -> None:
        """Create the net for one input and its number of features."""
        super().__init__()
        self.inputs = (input_name,)
        self.feature_widths = (1,) * n_features

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Return the input."""
        return tensors[self.inputs[0]]


class FusedNetwork(nn.Module):
    """Encoder nets and trunk as one module from named tensors to outputs.

    Args:
        nets: encoder net of each kind.
        trunk: builds the trunk from the feature widths of all encoder nets and the number of
            outputs; or one such function per kind, whose outputs are averaged with equal weights
            (late fusion).
        n_outputs: outputs per row.
        activate: maps logits to outputs (softmax for classes).
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        trunk: TrunkFactory | Mapping[str, TrunkFactory],
        n_outputs: int,
        activate: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        # Sorted, so that the order of features does not depend on the order of columns.
        self.nets = nn.ModuleDict(dict(sorted(nets.items())))
        feature_widths: dict[str, tuple[int, ...]] = {}
        for kind, net in self.nets.items():
            feature_widths[kind] = net.feature_widths  # type: ignore[assignment]
        self.is_late_fusion = isinstance(trunk, Mapping)
        self.trunk = (
            nn.ModuleDict(
                {name: trunk[name](widths, n_outputs) for name, widths in feature_widths.items()}
            )
            if isinstance(trunk, Mapping)
            else trunk(
                tuple(
                    feature_width for widths in feature_widths.values() for feature_width in widths
                ),
                n_outputs,
            )
        )
        self.activate = activate
        self.inputs = tuple(name for net in self.nets.values() for name in net.inputs)  # type: ignore[union-attr]
        self.sequence_inputs = tuple(
            input_name
            for net in self.nets.values()
            for input_name in getattr(net, "sequence_inputs", ())
        )

    def training_recipe(self, n_rows: int) -> TrainingRecipe | None:
        """The recipe of its first deep encoder net; None if all nets are shallow."""
        recipes: list[Any] = [net.recipe for net in self.nets.values() if net.recipe is not None]
        return recipes[0](n_rows) if recipes else None

    def logits(self, tensors: dict[str, Tensor], mixup: MixupPlan | None = None) -> Tensor:
        """Logits of every member, shape (rows, members, outputs); of mixed rows in training."""
        features = {name: compute_features(net, tensors, mixup) for name, net in self.nets.items()}
        if not self.is_late_fusion:
            logits: Tensor = self.trunk(torch.cat(list(features.values()), dim=1))
            return logits
        logits_by_kind = [
            self.trunk.get_submodule(name)(kind_features)
            for name, kind_features in features.items()
        ]
        # Members of smaller trunks are repeated, so that every kind has the same weight in the
        # mean.
        max_members = max(kind_logits.shape[1] for kind_logits in logits_by_kind)
        return torch.cat(
            [
                kind_logits.repeat(1, max_members // kind_logits.shape[1], 1)
                for kind_logits in logits_by_kind
            ],
            dim=1,
        )

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Outputs, averaged over the members after activation, shape (rows, outputs)."""
        return self.activate(self.logits(tensors).float()).mean(1)


def compute_features(net: nn.Module, tensors: dict[str, Tensor], mixup: MixupPlan | None) -> Tensor:
    """The features of an encoder net, mixed if there is a plan."""
    if mixup is None:
        return net(tensors)  # type: ignore[no-any-return]
    forward_mixed: Any = getattr(net, "forward_mixed", None)
    features: Tensor = forward_mixed(tensors, mixup) if forward_mixed else mixup.mix(net(tensors))
    return features
