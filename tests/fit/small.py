"""A network and rows so small that an epoch takes a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from fieldcraft.contracts import Array, Weights
from fieldcraft.fit.loop import Goal, Place, Rows, Trainer
from fieldcraft.fit.losses import cross_entropy
from fieldcraft.fit.network import FusedNetwork, PassNet
from fieldcraft.fit.settings import Training
from fieldcraft.fit.trunk import Mlp, TabM

FEATURES = 4
CPU = torch.device("cpu")
TRUNKS: dict[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "mlp": partial(Mlp, layers=(8,), dropout=0.2),
    "tabm": partial(TabM, members=3, hidden=8, layers=2, dropout=0.2),
}


def make_network(trunk: str = "mlp", seed: int = 0) -> FusedNetwork:
    """An untrained network for two classes over one input ``x``."""
    torch.manual_seed(seed)
    return FusedNetwork(
        {"x": PassNet("x", FEATURES)}, TRUNKS[trunk], 2, lambda raw: raw.softmax(-1)
    )


def make_rows(count: int = 96, seed: int = 0) -> Rows:
    """Rows of two classes that a plane divides."""
    x = np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)
    return Rows.of({"x": x}, (x.sum(axis=1) > 0).astype(np.int64), CPU)


def log_loss(outputs: Array, y: Array, weights: Weights = None) -> float:
    """Mean negative logarithm of the probability of the true class."""
    return float(np.average(-np.log(outputs[np.arange(len(y)), y]), weights=weights))


class Clock:
    """A clock that only moves when a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


GOAL = Goal(cross_entropy, log_loss)
QUICK = Training(batch_size=16, epochs=6, patience=6, learning_rate=1e-2, ema=0.9)


def make_trainer(
    network: FusedNetwork | None = None,
    settings: Training = QUICK,
    place: Place | None = None,
    goal: Goal = GOAL,
) -> Trainer:
    """A trainer with whatever is left out made up."""
    return Trainer(network or make_network(), goal, settings, place or Place())


def scripted(losses: Iterable[float], clock: Clock | None = None, seconds: float = 0.0) -> Goal:
    """A goal whose validation losses are given, with epochs that take the same time each."""
    values = iter(losses)

    def next_loss(outputs: Array, y: Array, weights: Weights) -> float:
        if clock is not None:
            clock.now += seconds
        return next(values)

    return Goal(GOAL.loss, next_loss)


def checkpoint_of(folder: Path) -> Path:
    """Where a trainer keeps its checkpoint."""
    return folder / "checkpoint.safetensors"
