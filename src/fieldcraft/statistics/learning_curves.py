"""Tell from the losses of training whether a network learned too little, too much, or well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Verdict = Literal["good", "overfit", "underfit", "unfinished"]
UNFINISHED_EPOCH_FRACTION = 0.95  # of all epochs allowed: a best epoch after that is no end
MIN_OVERFIT_RISE = 0.1  # relative rise of the tune loss after its best epoch
MIN_TRAIN_LOSS_FALL = 0.3  # relative fall of the training loss in the same time
MIN_LOSS_GAIN = 0.02  # relative gain over the first epochs, or over what guessing gives


@dataclass(frozen=True)
class LearningCurveDiagnosis:
    """Whether a model learned well, on what evidence, and what to do next."""

    verdict: Verdict
    reason: str
    next_step: str


def diagnose_learning_curves(
    curves: Sequence[Mapping[str, Any]], max_epochs: int
) -> LearningCurveDiagnosis | None:
    """What the losses of all members of a model say.

    Args:
        curves: per member ``train_losses``, ``tune_losses`` and ``best_epoch``, counted from 1.
        max_epochs: epochs that training could take at most.
    """
    curves = [curve for curve in curves if curve["tune_losses"]]
    if not curves:
        return None
    mean_best_epoch = float(np.mean([curve["best_epoch"] for curve in curves]))
    mean_rise = float(np.mean([rise_after_best(curve) for curve in curves]))
    mean_fall = float(np.mean([fall_after_best(curve) for curve in curves]))
    mean_gain = float(np.mean([validation_loss_gain(curve) for curve in curves]))
    mean_train_gain = float(np.mean([train_loss_gain(curve) for curve in curves]))
    if mean_best_epoch >= UNFINISHED_EPOCH_FRACTION * max_epochs:
        return LearningCurveDiagnosis(
            "unfinished",
            f"the tune loss was still falling in epoch {mean_best_epoch:.0f} of {max_epochs}",
            "give it more time: raise train.budget or model.epochs",
        )
    if (
        mean_gain < MIN_LOSS_GAIN and mean_train_gain < MIN_TRAIN_LOSS_FALL
    ):  # or else all was learned in the first epoch
        return LearningCurveDiagnosis(
            "underfit",
            f"the tune loss fell by {mean_gain:.1%} only",
            "look for columns that tell more, or let the network learn more: lower "
            "model.dropout, raise model.width",
        )
    if mean_rise > MIN_OVERFIT_RISE and mean_fall > MIN_TRAIN_LOSS_FALL:
        return LearningCurveDiagnosis(
            "overfit",
            f"after epoch {mean_best_epoch:.0f} the tune loss rose by {mean_rise:.0%} while the training loss "
            f"fell by {mean_fall:.0%}; the weights of epoch {mean_best_epoch:.0f} were kept",
            "more rows help most; else raise model.dropout or model.weight_decay",
        )
    return LearningCurveDiagnosis(
        "good",
        f"the tune loss was lowest in epoch {mean_best_epoch:.0f} and training stopped soon after",
        "longer training will not help; better columns or more rows may",
    )


def rise_after_best(curve: Mapping[str, Any]) -> float:
    """Relative rise of the tune loss from its best epoch to the last."""
    losses = curve["tune_losses"]
    best_loss = losses[curve["best_epoch"] - 1]
    return float((losses[-1] - best_loss) / max(abs(best_loss), 1e-12))


def fall_after_best(curve: Mapping[str, Any]) -> float:
    """Relative fall of the training loss from the best epoch to the last."""
    losses = curve["train_losses"]
    best_epoch_loss = losses[curve["best_epoch"] - 1]
    return float((best_epoch_loss - losses[-1]) / max(abs(best_epoch_loss), 1e-12))


def train_loss_gain(curve: Mapping[str, Any]) -> float:
    """Relative fall of the training loss from the first epoch to the last."""
    losses = curve["train_losses"]
    return float((losses[0] - losses[-1]) / max(abs(losses[0]), 1e-12))


def validation_loss_gain(curve: Mapping[str, Any]) -> float:
    """Relative fall of the tune loss from the first epoch to the best."""
    losses = curve["tune_losses"]
    gain = losses[0] - losses[curve["best_epoch"] - 1]
    return float(gain / max(abs(losses[0]), 1e-12))
