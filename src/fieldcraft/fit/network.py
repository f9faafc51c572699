"""The fused network: one encoder net per kind of column, a trunk that joins them, a head.

An encoder net is a module with ``inputs`` (names of tensors it reads), ``chunks`` (how wide the
vector of each feature is, adding up to the width of its output) and ``recipe``: None where it is a
thin layer that learns in whatever way the trunk does; of a deep net, a function from the number of
training rows to the `Recipe` by which the whole network is then trained. Inputs whose rows are
longer or shorter in one call than in another, such as texts, stand in ``lengths``: their last axis.
A net that mixes rows of a batch in a way of its own has ``mixed``, from tensors and a `Mixing` to
features; of the others the features are mixed.
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
    """An encoder net that passes its one input on, each number a feature of its own."""

    recipe = None

    def __init__(self, input_name: str, n_features: int) -> None:
        """Set up for an input of some width."""
        super().__init__()
        self.inputs = (input_name,)
        self.feature_widths = (1,) * n_features

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """The input."""
        return tensors[self.inputs[0]]


class FusedNetwork(nn.Module):
    """Encoder nets, trunk and head as one module from named tensors to outputs.

    Args:
        nets: encoder net of each kind, in the order of their names.
        trunk: builds the trunk from the chunks of all encoder nets and the output width; or one
            such for each kind, whose outputs are then averaged (late fusion), each counting alike.
        width: outputs a row.
        activate: raw outputs to outputs (softmax for classes).
    """

    def __init__(
        self,
        nets: Mapping[str, nn.Module],
        trunk: TrunkFactory | Mapping[str, TrunkFactory],
        n_outputs: int,
        activate: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
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
        """How the first of its deep encoder nets wants it to be trained; None if there is none."""
        recipes: list[Any] = [net.recipe for net in self.nets.values() if net.recipe is not None]
        return recipes[0](n_rows) if recipes else None

    def logits(self, tensors: dict[str, Tensor], mixup: MixupPlan | None = None) -> Tensor:
        """Raw outputs of every member, shape (rows, members, width); of mixed rows in training."""
        read = {name: compute_features(net, tensors, mixup) for name, net in self.nets.items()}
        if not self.is_late_fusion:
            logits: Tensor = self.trunk(torch.cat(list(read.values()), dim=1))
            return logits
        logits_by_kind = [
            self.trunk.get_submodule(name)(kind_features) for name, kind_features in read.items()
        ]
        max_members = max(kind_logits.shape[1] for kind_logits in logits_by_kind)
        return torch.cat(
            [
                kind_logits.repeat(1, max_members // kind_logits.shape[1], 1)
                for kind_logits in logits_by_kind
            ],
            dim=1,
        )

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Outputs, averaged over the members after activation, shape (rows, width)."""
        return self.activate(self.logits(tensors).float()).mean(1)


def compute_features(net: nn.Module, tensors: dict[str, Tensor], mixup: MixupPlan | None) -> Tensor:
    """What an encoder net makes of rows, mixed if they are to be."""
    if mixup is None:
        return net(tensors)  # type: ignore[no-any-return]
    forward_mixed: Any = getattr(net, "forward_mixed", None)
    features: Tensor = forward_mixed(tensors, mixup) if forward_mixed else mixup.mix(net(tensors))
    return features
