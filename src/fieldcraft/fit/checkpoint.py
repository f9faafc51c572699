"""Checkpoints as safetensors and JSON: everything the loop needs to go on as if never stopped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from safetensors.torch import load, save
from torch import Tensor, nn

from fieldcraft.core import files


@dataclass
class TrainingState:
    """Where the training stands after an epoch.

    The marked loss is the last one that was worth waiting on from: see `Training.worth`.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_loss: float = 1e300  # none yet
    last_improvement_epoch: int = 0
    last_improvement_loss: float = 1e300
    elapsed_seconds: float = 0.0
    train_losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's weights in the processor's memory."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def tensors_under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix such as ``network/``, by the rest of their names."""
    full_prefix = f"{prefix}/"
    return {
        name[len(full_prefix) :]: tensor
        for name, tensor in tensors.items()
        if name.startswith(full_prefix)
    }


def save_checkpoint(
    path: Path,
    state: TrainingState,
    network: nn.Module,
    ema_model: nn.Module,
    best_weights: Mapping[str, Tensor],
    optimizer_state: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint as one file, whole or not at all; the progress stands in its header.

    Args:
        path: of the file.
        state: where the training stands.
        network: as it is now.
        ema_model: its averaged weights.
        best_weights: the weights of the best epoch.
        optimizer_state: what the optimizers remember.
    """
    groups = {
        "network": copy_weights(network),
        "shadow": copy_weights(ema_model),
        "best": best_weights,
        "optimizer": optimizer_state,
    }
    tensors = {
        f"{group}/{name}": tensor
        for group, tensors_of_group in groups.items()
        for name, tensor in tensors_of_group.items()
    }
    files.atomic_write_bytes(path, save(tensors, {"progress": json.dumps(asdict(state))}))


def load_checkpoint(path: Path) -> tuple[TrainingState, dict[str, Tensor]]:
    """The progress and tensors that `write_checkpoint` wrote."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return TrainingState(**json.loads(header["__metadata__"]["progress"])), load(data)
