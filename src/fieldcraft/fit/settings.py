"""How a network is trained: one frozen record, written beside every checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

OptimizerName = Literal["muon", "adamw", "adam", "sgd", "rmsprop"]
LearningRateSchedule = Literal["constant", "cosine", "linear"]


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of the training loop.

    Attributes:
        optimizer: name of the optimizer.
        learning_rate: step size at its highest.
        lr_schedule: how the step size falls over the epochs; constant if it does not.
        warmup_epochs: epochs over which it rises from nothing; parts of an epoch count.
        weight_decay: decoupled decay of weights; biases and scales are never decayed.
        batch_size: rows a step.
        epochs: passes over the training rows at most.
        patience: epochs without a better tune loss before stopping, at least.
        patience_fraction: ... or this share of the epochs so far and five, if that is more.
        min_relative_improvement: relative gain in tune loss below which waiting starts over for nothing; smaller
            gains are kept, and add up until they are worth it.
        ema_decay: decay of the moving average of weights that is validated and kept; 0 for none.
        max_grad_norm: largest norm of the gradient; 0 for none.
        l1: weight of the sum of absolute weights in the loss.
        mixup: how far rows of a batch are mixed, the parameter of a beta distribution of their
            shares; 0 for not at all.
        cutmix: the same, but photos get a square of another one.
    """

    optimizer: OptimizerName = "adamw"
    learning_rate: float = 2e-3
    lr_schedule: LearningRateSchedule = "constant"
    warmup_epochs: float = 0
    weight_decay: float = 3e-4
    batch_size: int = 256
    epochs: int = 1_000
    patience: int = 8
    patience_fraction: float = 0.2
    min_relative_improvement: float = 0.005
    ema_decay: float = 0.998
    max_grad_norm: float = 1.0
    l1: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    @property
    def has_step_schedule(self) -> bool:
        """Whether the step size is another one in each step."""
        return bool(self.warmup_epochs) or self.lr_schedule != "constant"

    def learning_rate_at(self, epoch: float) -> float:
        """The learning rate after some epochs and parts of one."""
        if epoch < self.warmup_epochs:
            return self.learning_rate * (epoch + 1) / (self.warmup_epochs + 1)
        progress = (epoch - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1)
        if self.lr_schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2
        return self.learning_rate * ((1 - progress) if self.lr_schedule == "linear" else 1.0)

    def patience_at(self, epoch: int) -> int:
        """Epochs to wait for a gain after the last one that was worth it."""
        if not self.patience_fraction:
            return self.patience
        return max(self.patience, round(self.patience_fraction * epoch + 5))


@dataclass(frozen=True)
class TrainingRecipe:
    """How an encoder net that is trained from the ground up, or tuned, wants to be trained.

    Attributes:
        settings: settings of the loop; what the user says goes first.
        label_smoothing: share of each target that is spread over all classes.
    """

    settings: TrainingSettings
    label_smoothing: float = 0.0


MLP_BATCH_SIZES = ((2_800, 32), (4_500, 64), (6_400, 128), (32_000, 256))  # Gorishniy et al. 2025
TABM_BATCH_SIZES = ((8_000, 256),)  # smaller steps cost more a row: docs/log.md
MAX_BATCH_SIZE = 512


def choose_batch_size(n_rows: int, is_mlp: bool = False) -> int:
    """Rows a step for a training set, growing with it; an ensemble's steps are never small."""
    sizes = MLP_BATCH_SIZES if is_mlp else TABM_BATCH_SIZES
    return next((size for max_rows, size in sizes if n_rows < max_rows), MAX_BATCH_SIZE)
