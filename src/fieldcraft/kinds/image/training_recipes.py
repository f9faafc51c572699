"""Training recipes of the image networks."""

from __future__ import annotations

from dataclasses import replace

from fieldcraft.fit.finetuning import finetuning_settings
from fieldcraft.fit.settings import TrainingRecipe, TrainingSettings
from fieldcraft.kinds.image.architectures import VIT

# 21 epochs for 12,000 training rows, more for fewer rows. On CIFAR-10, more epochs gained less than
# smaller batches did (docs/log.md).
BASE_EPOCHS, BASE_ROWS = 21, 12_000
BATCH_SIZE_BELOW_ROWS = ((15_000, 64), (30_000, 128))
MAX_BATCH_SIZE = 256
LABEL_SMOOTHING = 0.1
VIT_EPOCHS_FACTOR = 1.5  # attention has to learn the locality that convolutions have built in
FINETUNE_STEPS = 2_000
FINETUNED = "finetuned"


def choose_recipe(network_name: str, rows: int) -> TrainingRecipe:
    """Choose the recipe of a network.

    Args:
        network_name: the name of a network trained from scratch, or `FINETUNED`.
        rows: number of training rows.
    """
    if network_name == FINETUNED:
        return TrainingRecipe(finetuning_settings(rows, FINETUNE_STEPS), LABEL_SMOOTHING)
    if network_name == VIT:
        return build_vit_recipe(rows)
    return build_cnn_recipe(rows)


def build_cnn_recipe(rows: int) -> TrainingRecipe:
    """Muon with linear warm-up and linear decay."""
    epochs = choose_epochs(rows)
    # No early stopping, as the learning rate has to decay to 0: patience is as long as training.
    training = TrainingSettings(
        optimizer="muon",
        learning_rate=8e-3,
        lr_schedule="linear",
        warmup_epochs=0.15 * epochs,
        weight_decay=0.05,
        batch_size=next(
            (batch_size for max_rows, batch_size in BATCH_SIZE_BELOW_ROWS if rows < max_rows),
            MAX_BATCH_SIZE,
        ),
        epochs=epochs,
        patience=epochs,
        patience_fraction=0.0,
        min_relative_improvement=0.0,
        ema_decay=0.98,
    )
    return TrainingRecipe(training, LABEL_SMOOTHING)


def build_vit_recipe(rows: int) -> TrainingRecipe:
    """AdamW with a cosine schedule, smaller batches and more epochs."""
    cnn_training = build_cnn_recipe(rows).settings
    epochs = round(VIT_EPOCHS_FACTOR * cnn_training.epochs)
    training = replace(
        cnn_training,
        optimizer="adamw",
        learning_rate=1e-3,
        lr_schedule="cosine",
        batch_size=min(cnn_training.batch_size, 128),
        epochs=epochs,
        warmup_epochs=0.15 * epochs,
        patience=epochs,
    )
    return TrainingRecipe(training, LABEL_SMOOTHING)


def choose_epochs(rows: int) -> int:
    """Epochs to train from scratch: more for fewer rows, from 10 to 50."""
    epochs: float = BASE_EPOCHS * (BASE_ROWS / rows) ** 0.35
    return round(min(max(epochs, 10), 50))
