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

from fieldcraft.fit.mixing import Mixing
from fieldcraft.fit.settings import Recipe

Trunk = Callable[[tuple[int, ...], int], nn.Module]


class PassNet(nn.Module):
    """An encoder net that passes its one input on, each number a feature of its own."""

    recipe = None

    def __init__(self, name: str, width: int) -> None:
        """Set up for an input of some width."""
        super().__init__()
        self.inputs = (name,)
        self.chunks = (1,) * width

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
        trunk: Trunk | Mapping[str, Trunk],
        width: int,
        activate: Callable[[Tensor], Tensor],
    ) -> None:
        super().__init__()
        self.nets = nn.ModuleDict(dict(sorted(nets.items())))
        chunks: dict[str, tuple[int, ...]] = {k: net.chunks for k, net in self.nets.items()}  # type: ignore[misc]
        self.late = isinstance(trunk, Mapping)
        self.trunk = (
            nn.ModuleDict({name: trunk[name](own, width) for name, own in chunks.items()})
            if isinstance(trunk, Mapping)
            else trunk(tuple(chunk for own in chunks.values() for chunk in own), width)
        )
        self.activate = activate
        self.inputs = tuple(name for net in self.nets.values() for name in net.inputs)  # type: ignore[union-attr]
        self.lengths = tuple(n for net in self.nets.values() for n in getattr(net, "lengths", ()))

    def recipe(self, rows: int) -> Recipe | None:
        """How the first of its deep encoder nets wants it to be trained; None if there is none."""
        asked: list[Any] = [net.recipe for net in self.nets.values() if net.recipe is not None]
        return asked[0](rows) if asked else None

    def raw(self, tensors: dict[str, Tensor], mixing: Mixing | None = None) -> Tensor:
        """Raw outputs of every member, shape (rows, members, width); of mixed rows in training."""
        read = {name: features(net, tensors, mixing) for name, net in self.nets.items()}
        if not self.late:
            raw: Tensor = self.trunk(torch.cat(list(read.values()), dim=1))
            return raw
        said = [self.trunk.get_submodule(name)(vectors) for name, vectors in read.items()]
        most = max(part.shape[1] for part in said)
        return torch.cat([part.repeat(1, most // part.shape[1], 1) for part in said], dim=1)

    def forward(self, tensors: dict[str, Tensor]) -> Tensor:
        """Outputs, averaged over the members after activation, shape (rows, width)."""
        return self.activate(self.raw(tensors).float()).mean(1)


def features(net: nn.Module, tensors: dict[str, Tensor], mixing: Mixing | None) -> Tensor:
    """What an encoder net makes of rows, mixed if they are to be."""
    if mixing is None:
        return net(tensors)  # type: ignore[no-any-return]
    own: Any = getattr(net, "mixed", None)
    found: Tensor = own(tensors, mixing) if own else mixing.mixed(net(tensors))
    return found
