"""Diagnose underfitting and overfitting from the losses of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Verdict = Literal["good", "overfit", "underfit", "not_converged"]
UNFINISHED_EPOCH_FRACTION = 0.95  # of the allowed epochs; a later best epoch may be no minimum
MIN_OVERFIT_RISE = 0.1  # relative rise of the validation loss after its best epoch
MIN_TRAIN_LOSS_FALL = 0.3  # relative fall of the training loss over the same epochs
MIN_LOSS_GAIN = 0.02  # relative fall of the validation loss from the first epoch to the best


@dataclass(frozen=True)
class LearningCurveDiagnosis:
    """A verdict on a training run, the reason for it, and a recommendation."""

    verdict: Verdict
    reason: str
    recommendation: str


def diagnose_learning_curves(
    curves: Sequence[Mapping[str, Any]], max_epochs: int
) -> LearningCurveDiagnosis | None:
    """Diagnose a model from the losses of all its members; None if there are none.

    Args:
        curves: for each member ``train_losses``, ``validation_losses`` and ``best_epoch``, counted
            from 1.
        max_epochs: largest number of epochs that training was allowed.
    """
    curves = [curve for curve in curves if curve["validation_losses"]]
    if not curves:
        return None
    mean_best_epoch = float(np.mean([curve["best_epoch"] for curve in curves]))
    mean_rise = float(np.mean([rise_after_best(curve) for curve in curves]))
    mean_fall = float(np.mean([fall_after_best(curve) for curve in curves]))
    mean_gain = float(np.mean([validation_loss_gain(curve) for curve in curves]))
    mean_train_gain = float(np.mean([train_loss_gain(curve) for curve in curves]))
    best_epoch = f"epoch {mean_best_epoch:.0f}"
    if mean_best_epoch >= UNFINISHED_EPOCH_FRACTION * max_epochs:
        return LearningCurveDiagnosis(
            "not_converged",
            f"the validation loss was still falling in {best_epoch} of {max_epochs}",
            "train longer: raise train.time_budget or model.epochs",
        )
    # Where the training loss fell all the same, the network learned everything in its first epoch,
    # as pretrained ones do, and the validation loss had no further to fall.
    if mean_gain < MIN_LOSS_GAIN and mean_train_gain < MIN_TRAIN_LOSS_FALL:
        return LearningCurveDiagnosis(
            "underfit",
            f"the validation loss fell by only {mean_gain:.1%}",
            "add more predictive columns, or increase the capacity of the network: lower "
            "model.dropout, raise model.width",
        )
    # A rise alone may be noise of a small validation set. Under overfitting the training loss falls
    # meanwhile.
    if mean_rise > MIN_OVERFIT_RISE and mean_fall > MIN_TRAIN_LOSS_FALL:
        return LearningCurveDiagnosis(
            "overfit",
            f"after {best_epoch} the validation loss rose by {mean_rise:.0%} while the training "
            f"loss fell by {mean_fall:.0%}; the weights of {best_epoch} were kept",
            "more rows help most; otherwise raise model.dropout or model.weight_decay",
        )
    return LearningCurveDiagnosis(
        "good",
        f"the validation loss was lowest in {best_epoch} and training stopped soon after",
        "longer training will not help; better columns or more rows may",
    )


def rise_after_best(curve: Mapping[str, Any]) -> float:
    """Relative rise of the validation loss from its best epoch to the last."""
    losses = curve["validation_losses"]
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
    """Relative fall of the validation loss from the first epoch to the best."""
    losses = curve["validation_losses"]
    gain = losses[0] - losses[curve["best_epoch"] - 1]
    return float(gain / max(abs(losses[0]), 1e-12))
