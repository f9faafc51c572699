"""Tell from the losses of training whether a network learned too little, too much, or well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

Verdict = Literal["good", "overfit", "underfit", "unfinished"]
LATE = 0.95  # of all epochs allowed: a best epoch after that is no end
WORSE = 0.1  # relative rise of the tune loss after its best epoch
FALLEN = 0.3  # relative fall of the training loss in the same time
LITTLE = 0.02  # relative gain over the first epochs, or over what guessing gives


@dataclass(frozen=True)
class Fitness:
    """Whether a model learned well, on what evidence, and what to do next."""

    verdict: Verdict
    reason: str
    step: str


def judge_fit(curves: Sequence[Mapping[str, Any]], allowed: int) -> Fitness | None:
    """What the losses of all members of a model say.

    Args:
        curves: per member ``train_losses``, ``tune_losses`` and ``best_epoch``, counted from 1.
        allowed: epochs that training could take at most.
    """
    curves = [curve for curve in curves if curve["tune_losses"]]
    if not curves:
        return None
    best = float(np.mean([curve["best_epoch"] for curve in curves]))
    rise = float(np.mean([rise_after_best(curve) for curve in curves]))
    fall = float(np.mean([fall_after_best(curve) for curve in curves]))
    gain = float(np.mean([gain_of(curve) for curve in curves]))
    learned = float(np.mean([learned_in(curve) for curve in curves]))
    if best >= LATE * allowed:
        return Fitness(
            "unfinished",
            f"the tune loss was still falling in epoch {best:.0f} of {allowed}",
            "give it more time: raise train.budget or model.epochs",
        )
    if gain < LITTLE and learned < FALLEN:  # or else all was learned in the first epoch
        return Fitness(
            "underfit",
            f"the tune loss fell by {gain:.1%} only",
            "look for columns that tell more, or let the network learn more: lower "
            "model.dropout, raise model.width",
        )
    if rise > WORSE and fall > FALLEN:
        return Fitness(
            "overfit",
            f"after epoch {best:.0f} the tune loss rose by {rise:.0%} while the training loss "
            f"fell by {fall:.0%}; the weights of epoch {best:.0f} were kept",
            "more rows help most; else raise model.dropout or model.weight_decay",
        )
    return Fitness(
        "good",
        f"the tune loss was lowest in epoch {best:.0f} and training stopped soon after",
        "longer training will not help; better columns or more rows may",
    )


def rise_after_best(curve: Mapping[str, Any]) -> float:
    """Relative rise of the tune loss from its best epoch to the last."""
    losses = curve["tune_losses"]
    lowest = losses[curve["best_epoch"] - 1]
    return float((losses[-1] - lowest) / max(abs(lowest), 1e-12))


def fall_after_best(curve: Mapping[str, Any]) -> float:
    """Relative fall of the training loss from the best epoch to the last."""
    losses = curve["train_losses"]
    at_best = losses[curve["best_epoch"] - 1]
    return float((at_best - losses[-1]) / max(abs(at_best), 1e-12))


def learned_in(curve: Mapping[str, Any]) -> float:
    """Relative fall of the training loss from the first epoch to the last."""
    losses = curve["train_losses"]
    return float((losses[0] - losses[-1]) / max(abs(losses[0]), 1e-12))


def gain_of(curve: Mapping[str, Any]) -> float:
    """Relative fall of the tune loss from the first epoch to the best."""
    losses = curve["tune_losses"]
    gain = losses[0] - losses[curve["best_epoch"] - 1]
    return float(gain / max(abs(losses[0]), 1e-12))
