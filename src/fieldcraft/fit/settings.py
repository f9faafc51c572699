"""Settings of the training loop, and training recipes of encoder nets."""

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
        learning_rate: the highest learning rate.
        lr_schedule: how the learning rate decays over the epochs.
        warmup_epochs: epochs of linear warm-up, also a fraction of one.
        weight_decay: decay of weight matrices, decoupled for Muon and AdamW; biases and scales are
            never decayed.
        batch_size: rows per step.
        epochs: maximum number of passes over the training rows.
        patience: epochs without an improvement of the validation loss before training stops.
        patience_fraction: patience grows to this fraction of the epochs up to the last
            improvement, plus five, if that is more; 0 for constant patience.
        min_relative_improvement: relative improvement of the validation loss that restarts
            patience; smaller ones restart it once they add up to this.
        ema_decay: decay of the moving average of weights, which is validated and kept; 0 for none.
        max_grad_norm: maximum norm of the gradient; 0 for no clipping.
        l1: weight of the sum of absolute weights in the loss.
        mixup: parameter alpha of the beta distribution of mixup fractions; 0 for no mixup.
        cutmix: the same for CutMix of images.
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
        """Whether the learning rate changes from step to step."""
        return bool(self.warmup_epochs) or self.lr_schedule != "constant"

    def learning_rate_at(self, epoch: float) -> float:
        """The learning rate after a number of epochs, which may be fractional."""
        if epoch < self.warmup_epochs:
            # Plus one, so that the learning rate of the first step is not 0.
            return self.learning_rate * (epoch + 1) / (self.warmup_epochs + 1)
        progress = (epoch - self.warmup_epochs) / max(self.epochs - self.warmup_epochs, 1)
        if self.lr_schedule == "cosine":
            return self.learning_rate * (1 + math.cos(math.pi * progress)) / 2
        return self.learning_rate * ((1 - progress) if self.lr_schedule == "linear" else 1.0)

    def patience_at(self, epoch: int) -> int:
        """Epochs to wait for an improvement after the last one, which was at `epoch`.

        Patience grows because improvements become rarer: a training that improved until epoch 100
        deserves more patience than one that stalls at epoch 5. On the curves of six tables, 0.2 and
        5 took 0.70 of the epochs of 0.3 and 10 at the same loss (docs/log.md).
        """
        if not self.patience_fraction:
            return self.patience
        return max(self.patience, round(self.patience_fraction * epoch + 5))


@dataclass(frozen=True)
class TrainingRecipe:
    """Training settings of a deep encoder net, trained from scratch or fine-tuned.

    Attributes:
        settings: settings of the loop; options of the project file take precedence.
        label_smoothing: fraction of each target that is spread over all classes.
    """

    settings: TrainingSettings
    label_smoothing: float = 0.0


# (number of rows, batch size of tables with fewer rows).
MLP_BATCH_SIZES = ((2_800, 32), (4_500, 64), (6_400, 128), (32_000, 256))  # Gorishniy et al. 2025
TABM_BATCH_SIZES = ((8_000, 256),)  # smaller batches cost more per row: docs/log.md
MAX_BATCH_SIZE = 512


def choose_batch_size(n_rows: int, is_mlp: bool = False) -> int:
    """The batch size for a number of training rows; an MLP has smaller ones than TabM."""
    sizes = MLP_BATCH_SIZES if is_mlp else TABM_BATCH_SIZES
    return next((size for max_rows, size in sizes if n_rows < max_rows), MAX_BATCH_SIZE)
