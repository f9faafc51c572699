"""How a network is trained: one frozen record, written beside every checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

OptimizerName = Literal["muon", "adamw", "adam", "sgd", "rmsprop"]
Schedule = Literal["constant", "cosine", "linear"]


@dataclass(frozen=True)
class Training:
    """Settings of the training loop.

    Attributes:
        optimizer: name of the optimizer.
        learning_rate: step size at its highest.
        schedule: how the step size falls over the epochs; constant if it does not.
        warmup: epochs over which it rises from nothing; parts of an epoch count.
        weight_decay: decoupled decay of weights; biases and scales are never decayed.
        batch_size: rows a step.
        epochs: passes over the training rows at most.
        patience: epochs without a better tune loss before stopping, at least.
        patience_share: ... or this share of the epochs so far and five, if that is more.
        worth: relative gain in tune loss below which waiting starts over for nothing; smaller
            gains are kept, and add up until they are worth it.
        ema: decay of the moving average of weights that is validated and kept; 0 for none.
        clip: largest norm of the gradient; 0 for none.
        l1: weight of the sum of absolute weights in the loss.
        mixup: how far rows of a batch are mixed, the parameter of a beta distribution of their
            shares; 0 for not at all.
        cutmix: the same, but photos get a square of another one.
    """

    optimizer: OptimizerName = "adamw"
    learning_rate: float = 2e-3
    schedule: Schedule = "constant"
    warmup: float = 0
    weight_decay: float = 3e-4
    batch_size: int = 256
    epochs: int = 1_000
    patience: int = 8
    patience_share: float = 0.2
    worth: float = 0.005
    ema: float = 0.998
    clip: float = 1.0
    l1: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether the step size is another one in each step."""
        return bool(self.warmup) or self.schedule != "constant"

    def rate_at(self, epoch: float) -> float:
        """The learning rate after some epochs and parts of one."""
        if epoch < self.warmup:
            return self.learning_rate * (epoch + 1) / (self.warmup + 1)
        done = (epoch - self.warmup) / max(self.epochs - self.warmup, 1)
        if self.schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * ((1 - done) if self.schedule == "linear" else 1.0)

    def allowance(self, epoch: int) -> int:
        """Epochs to wait for a gain after the last one that was worth it."""
        if not self.patience_share:
            return self.patience
        return max(self.patience, round(self.patience_share * epoch + 5))


@dataclass(frozen=True)
class Recipe:
    """How an encoder net that is trained from the ground up, or tuned, wants to be trained.

    Attributes:
        training: settings of the loop; what the user says goes first.
        smoothing: share of each target that is spread over all classes.
    """

    training: Training
    smoothing: float = 0.0


BATCHES = ((2_800, 32), (4_500, 64), (6_400, 128), (32_000, 256))  # Gorishniy et al. 2025
ENSEMBLE_BATCHES = ((8_000, 256),)  # smaller steps cost more a row: docs/log.md
LARGEST_BATCH = 512


def batch_size_for(rows: int, plain: bool = False) -> int:
    """Rows a step for a training set, growing with it; an ensemble's steps are never small."""
    sizes = BATCHES if plain else ENSEMBLE_BATCHES
    return next((size for below, size in sizes if rows < below), LARGEST_BATCH)
