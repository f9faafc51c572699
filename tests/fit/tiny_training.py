"""A network and rows so small that an epoch takes milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fieldcraft.contracts import Weights
from fieldcraft.core.types import Array
from fieldcraft.fit.losses import cross_entropy
from fieldcraft.fit.network import FusedNetwork, IdentityNet
from fieldcraft.fit.settings import TrainingSettings
from fieldcraft.fit.trainer import Objective, TensorRows, Trainer, TrainingContext
from fieldcraft.fit.trunk import MLP, TabM

FEATURES = 4
CPU = torch.device("cpu")
TRUNKS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "mlp": partial(MLP, hidden_sizes=(8,), dropout=0.2),
    "tabm": partial(TabM, n_members=3, hidden_size=8, n_layers=2, dropout=0.2),
}


def make_network(trunk: str = "mlp", seed: int = 0) -> FusedNetwork:
    """An untrained network for two classes over one input ``x``."""
    torch.manual_seed(seed)
    return FusedNetwork(
        {"x": IdentityNet("x", FEATURES)}, TRUNKS[trunk], 2, lambda logits: logits.softmax(-1)
    )


def make_rows(count: int = 96, seed: int = 0) -> TensorRows:
    """Rows of two linearly separable classes."""
    x = np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)
    return TensorRows.from_arrays({"x": x}, (x.sum(axis=1) > 0).astype(np.int64), CPU)


def mean_log_loss(outputs: Array, y: Array, weights: Weights = None) -> float:
    """Mean negative logarithm of the probability of the true class."""
    return float(np.average(-np.log(outputs[np.arange(len(y)), y]), weights=weights))


class Clock:
    """A clock that moves only when a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


CROSS_ENTROPY_OBJECTIVE = Objective(cross_entropy, mean_log_loss)
FAST_SETTINGS = TrainingSettings(
    batch_size=16, epochs=6, patience=6, learning_rate=1e-2, ema_decay=0.9
)


def make_trainer(
    network: FusedNetwork | None = None,
    settings: TrainingSettings = FAST_SETTINGS,
    context: TrainingContext | None = None,
    objective: Objective = CROSS_ENTROPY_OBJECTIVE,
) -> Trainer:
    """A trainer with small defaults."""
    return Trainer(network or make_network(), objective, settings, context or TrainingContext())


def objective_with_losses(
    losses: Iterable[float], clock: Clock | None = None, seconds: float = 0.0
) -> Objective:
    """An objective with given validation losses, in epochs of equal time."""
    values = iter(losses)

    def next_loss(outputs: Array, y: Array, weights: Weights) -> float:
        if clock is not None:
            clock.now += seconds
        return next(values)

    return Objective(CROSS_ENTROPY_OBJECTIVE.loss, next_loss)


def checkpoint_path(folder: Path) -> Path:
    """The path of a trainer's checkpoint."""
    return folder / "checkpoint.safetensors"


class ProcessKilled(Exception):
    """Stands for the end of the process."""


def kill_after(epochs: int) -> Callable[[str, float | None], None]:
    """A progress callback that ends the process after some epochs."""
    messages: list[str] = []

    def on_progress(message: str, fraction: float | None) -> None:
        messages.append(message)
        if len(messages) == epochs:
            raise ProcessKilled

    return on_progress
