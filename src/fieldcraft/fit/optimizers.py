"""The optimizers of a network: which parameter is moved by which rule, and how far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.fit.muon import Muon
from fieldcraft.fit.settings import TrainingSettings

SGD_MOMENTUM = 0.9


def build_optimizers(network: nn.Module, settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """The optimizers that the settings ask for; only weight matrices are decayed.

    Muon (Jordan et al. 2024; on tables: Gorishniy et al., *Benchmarking Optimizers for MLPs in
    Tabular Deep Learning*, 2026) moves the hidden matrices of the trunk, AdamW everything else.
    """
    if settings.optimizer != "muon":
        return [
            build_optimizer(settings.optimizer, build_parameter_groups(network, settings), settings)
        ]
    muon_matrices = list(iter_hidden_matrices(network))
    muon = Muon(group_by_lr_scale(muon_matrices), settings.learning_rate, settings.weight_decay)
    other_groups = build_parameter_groups(network, settings, excluded=muon_matrices)
    return [muon, build_optimizer("adamw", other_groups, settings)]


def build_optimizer(
    name: str, parameter_groups: list[dict[str, Any]], settings: TrainingSettings
) -> torch.optim.Optimizer:
    """One optimizer for all groups of parameters."""
    learning_rate = settings.learning_rate
    if name == "sgd":
        return torch.optim.SGD(
            parameter_groups, lr=learning_rate, momentum=SGD_MOMENTUM, nesterov=True
        )
    if name == "rmsprop":
        return torch.optim.RMSprop(parameter_groups, lr=learning_rate)
    if name == "adam":
        return torch.optim.Adam(parameter_groups, lr=learning_rate, fused=True)
    return torch.optim.AdamW(parameter_groups, lr=learning_rate, fused=True)


def build_parameter_groups(
    network: nn.Module, settings: TrainingSettings, excluded: Sequence[Tensor] = ()
) -> list[dict[str, Any]]:
    """The parameters that learn, those that are decayed and those that are not."""
    excluded_ids = {id(parameter) for parameter in excluded}
    decayed_ids = {
        id(module.weight)
        for module in network.modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    }
    trainable = [p for p in network.parameters() if p.requires_grad and id(p) not in excluded_ids]
    groups: dict[tuple[bool, float], list[Tensor]] = {(True, 1.0): [], (False, 1.0): []}
    for parameter in trainable:
        lr_scale = getattr(parameter, "rate", 1.0)  # pretrained layers move less than new ones
        groups.setdefault((id(parameter) in decayed_ids, lr_scale), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": settings.weight_decay * is_decayed, "rate": lr_scale}
        for (is_decayed, lr_scale), parameters in groups.items()
    ]


def group_by_lr_scale(parameters: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Parameters in groups that share a part of the learning rate."""
    groups: dict[float, list[Tensor]] = {}
    for parameter in parameters:
        groups.setdefault(getattr(parameter, "rate", 1.0), []).append(parameter)
    return [{"params": group, "rate": lr_scale} for lr_scale, group in groups.items()]


def iter_hidden_matrices(network: nn.Module) -> Iterator[Tensor]:
    """The weight matrices between layers: those of the trunk but for its outputs, and kernels."""
    trunk = network.get_submodule("trunk")
    for module in trunk.modules():
        if isinstance(module, nn.Linear) and not getattr(module, "is_output", False):
            yield module.weight
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            yield module.weight


def optimizer_state(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """What the optimizers remember (moments, step counts), by optimizer, parameter and name."""
    return {
        f"{index}.{parameter_index}.{name}": torch.as_tensor(value)
        for index, optimizer in enumerate(optimizers)
        for parameter_index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None
    }


def load_optimizer_state(
    optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, Tensor]
) -> None:
    """Give the optimizers back what they remembered."""
    for index, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            optimizer_index, parameter_index, name = key.split(".", 2)
            if int(optimizer_index) == index:
                state.setdefault(int(parameter_index), {})[name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
