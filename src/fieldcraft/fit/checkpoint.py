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
class Progress:
    """Where the training stands after an epoch.

    The marked loss is the last one that was worth waiting on from: see `Training.worth`.
    """

    epoch: int = 0
    step: int = 0
    best_epoch: int = 0
    best_loss: float = 1e300  # none yet
    mark_epoch: int = 0
    mark_loss: float = 1e300
    elapsed: float = 0.0
    train_losses: list[float] = field(default_factory=list)
    tune_losses: list[float] = field(default_factory=list)


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """A copy of a module's weights in the processor's memory."""
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def unpack(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix such as ``network/``, by the rest of their names."""
    start = f"{prefix}/"
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def write_checkpoint(
    path: Path,
    progress: Progress,
    network: nn.Module,
    shadow: nn.Module,
    best: Mapping[str, Tensor],
    memory: Mapping[str, Tensor],
) -> None:
    """Write a checkpoint as one file, whole or not at all; the progress stands in its header.

    Args:
        path: of the file.
        progress: where the training stands.
        network: as it is now.
        shadow: its averaged weights.
        best: the weights of the best epoch.
        memory: what the optimizers remember.
    """
    groups = {
        "network": snapshot(network),
        "shadow": snapshot(shadow),
        "best": best,
        "optimizer": memory,
    }
    tensors = {f"{group}/{name}": t for group, named in groups.items() for name, t in named.items()}
    files.write_bytes(path, save(tensors, {"progress": json.dumps(asdict(progress))}))


def read_checkpoint(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    """The progress and tensors that `write_checkpoint` wrote."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return Progress(**json.loads(header["__metadata__"]["progress"])), load(data)
