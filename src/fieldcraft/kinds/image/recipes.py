"""How the networks for photos are trained, each by what it is and where it comes from."""

from __future__ import annotations

from dataclasses import replace

from fieldcraft.fit.pretrained import tuning
from fieldcraft.fit.settings import Recipe, Training
from fieldcraft.kinds.image.scratch import VIT

EPOCHS, AT = 21, 12_000  # epochs for a number of training rows; fewer rows are seen more often
BATCHES = ((15_000, 64), (30_000, 128))  # rows a step below a number of rows
LARGEST_BATCH = 256
SMOOTHING = 0.1
SLOW = 1.5  # times as many epochs for attention, which has to learn what a neighbour is
STEPS = 2_000  # of tuning
TUNED = "tuned"


def recipe_for(way: str, rows: int) -> Recipe:
    """The recipe of a network.

    Args:
        way: the name of a network that is trained from the ground up, or `TUNED`.
        rows: training rows.
    """
    if way == TUNED:
        return Recipe(tuning(rows, STEPS), SMOOTHING)
    if way == VIT:
        return attentive(rows)
    return convolutional(rows)


def convolutional(rows: int) -> Recipe:
    """Muon with a rate that rises for a while and then falls to nothing."""
    epochs = epochs_for(rows)
    training = Training(
        optimizer="muon",
        learning_rate=8e-3,
        schedule="linear",
        warmup=0.15 * epochs,
        weight_decay=0.05,
        batch_size=next((size for below, size in BATCHES if rows < below), LARGEST_BATCH),
        epochs=epochs,
        patience=epochs,
        patience_share=0.0,
        worth=0.0,
        ema=0.98,
    )
    return Recipe(training, SMOOTHING)


def attentive(rows: int) -> Recipe:
    """AdamW for more epochs, in smaller steps, as attention needs it."""
    found = convolutional(rows).training
    epochs = round(SLOW * found.epochs)
    training = replace(
        found,
        optimizer="adamw",
        learning_rate=1e-3,
        schedule="cosine",
        batch_size=min(found.batch_size, 128),
        epochs=epochs,
        warmup=0.15 * epochs,
        patience=epochs,
    )
    return Recipe(training, SMOOTHING)


def epochs_for(rows: int) -> int:
    """Epochs of a training from the ground up: the fewer rows, the more."""
    wanted: float = EPOCHS * (AT / rows) ** 0.35
    return round(min(max(wanted, 10), 50))
