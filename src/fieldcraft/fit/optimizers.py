"""The optimizers of a network: which parameter is moved by which rule, and how far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.fit.muon import Muon
from fieldcraft.fit.settings import Training

MOMENTUM = 0.9


def build_optimizers(network: nn.Module, settings: Training) -> list[torch.optim.Optimizer]:
    """The optimizers that the settings ask for; only weight matrices are decayed.

    Muon (Jordan et al. 2024; on tables: Gorishniy et al., *Benchmarking Optimizers for MLPs in
    Tabular Deep Learning*, 2026) moves the hidden matrices of the trunk, AdamW everything else.
    """
    if settings.optimizer != "muon":
        return [plain_optimizer(settings.optimizer, groups_of(network, settings), settings)]
    hidden = list(hidden_matrices(network))
    muon = Muon(by_rate(hidden), settings.learning_rate, settings.weight_decay)
    rest = groups_of(network, settings, without=hidden)
    return [muon, plain_optimizer("adamw", rest, settings)]


def plain_optimizer(
    name: str, groups: list[dict[str, Any]], settings: Training
) -> torch.optim.Optimizer:
    """One optimizer for all groups of parameters."""
    rate = settings.learning_rate
    if name == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=MOMENTUM, nesterov=True)
    if name == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate)
    if name == "adam":
        return torch.optim.Adam(groups, lr=rate, fused=True)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def groups_of(
    network: nn.Module, settings: Training, without: Sequence[Tensor] = ()
) -> list[dict[str, Any]]:
    """The parameters that learn, those that are decayed and those that are not."""
    left_out = {id(parameter) for parameter in without}
    decayed = {id(m.weight) for m in network.modules() if isinstance(m, (nn.Linear, nn.Conv2d))}
    learning = [p for p in network.parameters() if p.requires_grad and id(p) not in left_out]
    groups: dict[tuple[bool, float], list[Tensor]] = {(True, 1.0): [], (False, 1.0): []}
    for parameter in learning:
        rate = getattr(parameter, "rate", 1.0)  # pretrained layers move less than new ones
        groups.setdefault((id(parameter) in decayed, rate), []).append(parameter)
    return [
        {"params": found, "weight_decay": settings.weight_decay * decays, "rate": rate}
        for (decays, rate), found in groups.items()
    ]


def by_rate(parameters: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Parameters in groups that share a part of the learning rate."""
    groups: dict[float, list[Tensor]] = {}
    for parameter in parameters:
        groups.setdefault(getattr(parameter, "rate", 1.0), []).append(parameter)
    return [{"params": found, "rate": rate} for rate, found in groups.items()]


def hidden_matrices(network: nn.Module) -> Iterator[Tensor]:
    """The weight matrices between layers: those of the trunk but for its outputs, and kernels."""
    trunk = network.get_submodule("trunk")
    for module in trunk.modules():
        if isinstance(module, nn.Linear) and not getattr(module, "is_output", False):
            yield module.weight
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            yield module.weight


def memory_of(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """What the optimizers remember (moments, step counts), by optimizer, parameter and name."""
    return {
        f"{place}.{number}.{name}": torch.as_tensor(value)
        for place, optimizer in enumerate(optimizers)
        for number, memory in optimizer.state_dict()["state"].items()
        for name, value in memory.items()
        if value is not None
    }


def restore_memory(
    optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, Tensor]
) -> None:
    """Give the optimizers back what they remembered."""
    for place, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            which, number, name = key.split(".", 2)
            if int(which) == place:
                state.setdefault(int(number), {})[name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
