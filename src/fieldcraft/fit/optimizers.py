"""Optimizers of a network, with parameter groups for weight decay and learning rates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fieldcraft.fit.muon import Muon
from fieldcraft.fit.settings import TrainingSettings

SGD_MOMENTUM = 0.9


def build_optimizers(network: nn.Module, settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """The optimizers of the settings; only weight matrices are decayed.

    Muon (Jordan et al. 2024; for tables: Gorishniy et al., *Benchmarking Optimizers for MLPs in
    Tabular Deep Learning*, 2026) updates the hidden matrices of the trunk, AdamW everything else:
    orthogonal updates make no sense for vectors, and hurt embeddings and output layers.
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
    """Create one optimizer for all parameter groups.

    Weight decay is decoupled for AdamW only; PyTorch's SGD, RMSprop and Adam add it to the gradient
    as an L2 penalty.
    """
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
    """Group trainable parameters by weight decay and learning-rate scale."""
    excluded_ids = {id(parameter) for parameter in excluded}
    decayed_ids = {
        id(module.weight)
        for module in network.modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    }
    trainable = [p for p in network.parameters() if p.requires_grad and id(p) not in excluded_ids]
    # Both groups exist even if empty, so that their order does not depend on the network.
    groups: dict[tuple[bool, float], list[Tensor]] = {(True, 1.0): [], (False, 1.0): []}
    for parameter in trainable:
        lr_scale = getattr(parameter, "lr_scale", 1.0)  # below 1 for pretrained layers
        groups.setdefault((id(parameter) in decayed_ids, lr_scale), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": settings.weight_decay * is_decayed,
            "lr_scale": lr_scale,
        }
        for (is_decayed, lr_scale), parameters in groups.items()
    ]


def group_by_lr_scale(parameters: Sequence[Tensor]) -> list[dict[str, Any]]:
    """Group parameters by their learning-rate scale."""
    groups: dict[float, list[Tensor]] = {}
    for parameter in parameters:
        groups.setdefault(getattr(parameter, "lr_scale", 1.0), []).append(parameter)
    return [{"params": group, "lr_scale": lr_scale} for lr_scale, group in groups.items()]


def iter_hidden_matrices(network: nn.Module) -> Iterator[Tensor]:
    """Hidden weight matrices: those of the trunk except its outputs, and convolution kernels."""
    trunk = network.get_submodule("trunk")
    for module in trunk.modules():
        if isinstance(module, nn.Linear) and not getattr(module, "is_output", False):
            yield module.weight
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            yield module.weight


def optimizer_state(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """The state of the optimizers (moments, step counts) as a flat dict of tensors.

    Keys are ``optimizer.parameter.name``, with indexes for the first two: safetensors holds no
    nested dicts.
    """
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
    """Load a state that `optimizer_state` returned."""
    for index, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            optimizer_index, parameter_index, name = key.split(".", 2)
            if int(optimizer_index) == index:
                state.setdefault(int(parameter_index), {})[name] = value
        # Parameter groups are kept: their values come from the settings, not from the checkpoint.
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
