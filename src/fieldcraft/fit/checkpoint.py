"""Checkpoints as safetensors: everything that training needs to resume exactly."""

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
    """Progress of a training after an epoch.

    The last improvement is the last validation loss that was better than the one before it by
    `TrainingSettings.min_relative_improvement`; patience counts from there.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    # Not infinity, which JSON cannot hold; any real loss is smaller.
    best_loss: float = 1e300
    last_improvement_epoch: int = 0
    last_improvement_loss: float = 1e300
    elapsed_seconds: float = 0.0
    is_stopped: bool = False  # by a callback
    train_losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)


def copy_weights(module: nn.Module) -> dict[str, Tensor]:
    """Copy a module's weights to CPU memory."""
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
    """Write a checkpoint atomically as one file, with the training state in its header.

    One file, because a crash between two files could leave weights of one epoch beside a state of
    another; training would resume from it without an error.

    Args:
        path: path of the file.
        state: progress of the training.
        network: the network with its current weights.
        ema_model: the network with averaged weights.
        best_weights: averaged weights of the best epoch.
        optimizer_state: tensors of the optimizers.
    """
    groups = {
        "network": copy_weights(network),
        "ema": copy_weights(ema_model),
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
    """Load the training state and the tensors that `save_checkpoint` wrote."""
    # A safetensors file begins with the length of its JSON header as a 64-bit little-endian
    # integer; `load` does not return the header.
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return TrainingState(**json.loads(header["__metadata__"]["progress"])), load(data)
