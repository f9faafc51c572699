"""Learning curves are diagnosed, with a recommendation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.statistics.learning_curves import (
    LearningCurveDiagnosis,
    diagnose_learning_curves,
    fall_after_best,
    rise_after_best,
    train_loss_gain,
    validation_loss_gain,
)

EPOCHS = 20


def learning_curve(train: list[float], validation: list[float]) -> dict[str, Any]:
    """The losses of one member, with its best epoch."""
    return {
        "train_losses": train,
        "validation_losses": validation,
        "best_epoch": int(np.argmin(validation)) + 1,
    }


def decreasing_losses(start: float, end: float, epochs: int = EPOCHS) -> list[float]:
    """A loss that falls linearly."""
    return [float(value) for value in np.linspace(start, end, epochs)]


GOOD_CURVE = learning_curve(
    decreasing_losses(0.7, 0.28),
    [*decreasing_losses(0.7, 0.3, 15), *decreasing_losses(0.301, 0.31, 5)],
)
OVERFIT_CURVE = learning_curve(
    decreasing_losses(0.7, 0.05),
    [*decreasing_losses(0.7, 0.4, 10), *decreasing_losses(0.42, 0.6, 10)],
)
UNDERFIT_CURVE = learning_curve(
    decreasing_losses(0.70, 0.69),
    [*decreasing_losses(0.70, 0.695, 10), *decreasing_losses(0.695, 0.696, 10)],
)
FALLING_CURVE = learning_curve(decreasing_losses(0.7, 0.3), decreasing_losses(0.7, 0.3))


def diagnose(*curves: dict[str, Any], allowed: int = 1_000) -> LearningCurveDiagnosis:
    """The diagnosis of curves that have one."""
    diagnosis = diagnose_learning_curves(curves, allowed)
    assert diagnosis is not None
    return diagnosis


@pytest.mark.parametrize(
    ("losses", "allowed", "verdict", "evidence", "advice"),
    [
        (GOOD_CURVE, 1_000, "good", "lowest in epoch 15", "more rows"),
        (
            OVERFIT_CURVE,
            1_000,
            "overfit",
            "after epoch 10 the validation loss rose by 50%",
            "model.dropout",
        ),
        (UNDERFIT_CURVE, 1_000, "underfit", "fell by only 0.7%", "model.width"),
        (FALLING_CURVE, EPOCHS, "not_converged", "epoch 20 of 20", "model.epochs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_verdict_has_a_reason_and_a_recommendation(
    losses: dict[str, Any], allowed: int, verdict: str, evidence: str, advice: str
) -> None:
    diagnosis = diagnose(losses, allowed=allowed)
    assert diagnosis.verdict == verdict
    assert evidence in diagnosis.reason
    assert advice in diagnosis.recommendation


def test_a_best_epoch_well_before_the_last_one_has_converged() -> None:
    assert diagnose(FALLING_CURVE, allowed=EPOCHS).verdict == "not_converged"
    assert diagnose(FALLING_CURVE, allowed=EPOCHS + 2).verdict == "good"


def test_a_rising_validation_loss_is_no_overfit_unless_the_training_loss_falls() -> None:
    noisy = {**OVERFIT_CURVE, "train_losses": decreasing_losses(0.7, 0.6)}
    assert diagnose(noisy).verdict == "good"


def test_the_verdict_is_on_the_mean_of_the_members() -> None:
    assert diagnose(OVERFIT_CURVE, OVERFIT_CURVE, GOOD_CURVE).verdict == "overfit"
    assert (
        diagnose(
            OVERFIT_CURVE, GOOD_CURVE, GOOD_CURVE, GOOD_CURVE, GOOD_CURVE, GOOD_CURVE, GOOD_CURVE
        ).verdict
        == "good"
    )


def test_negative_losses_are_diagnosed_like_others() -> None:
    shifted = learning_curve(
        [x - 1 for x in UNDERFIT_CURVE["train_losses"]],
        [x - 1 for x in UNDERFIT_CURVE["validation_losses"]],
    )
    assert diagnose(shifted).verdict == "underfit"


def test_a_loss_of_zero_is_no_division_by_zero() -> None:
    assert diagnose(learning_curve([0.0, 0.0], [0.0, 0.0])).verdict == "underfit"


@pytest.mark.parametrize(
    "curves", [[], [{"train_losses": [], "validation_losses": [], "best_epoch": 0}]]
)
def test_without_losses_there_is_no_diagnosis(curves: list[dict[str, Any]]) -> None:
    assert diagnose_learning_curves(curves, 100) is None


def test_a_member_without_losses_does_not_count() -> None:
    empty = {"train_losses": [], "validation_losses": [], "best_epoch": 0}
    assert diagnose(OVERFIT_CURVE, empty) == diagnose(OVERFIT_CURVE)


def test_learning_everything_in_the_first_epoch_is_good() -> None:
    tuned = learning_curve([0.49, 0.31, 0.19], [0.373, 0.371, 0.38])  # of a pretrained network
    assert diagnose(tuned).verdict == "good"


def learning_curvewith(
    *, rise: float = 0.0, train_fall: float = 0.5, gain: float = 0.5, best: int = 10
) -> dict[str, Any]:
    """Twenty epochs: the validation loss falls to the best epoch and rises after it."""
    validation = [*decreasing_losses(1, 1 - gain, best), *[(1 - gain) * (1 + rise)] * (20 - best)]
    train = [*[1.0] * best, *[1 - train_fall] * (20 - best)]
    return {"train_losses": train, "validation_losses": validation, "best_epoch": best}


@pytest.mark.parametrize(
    ("given", "allowed", "verdict"),
    [
        ({"rise": 0.11, "train_fall": 0.31}, 1_000, "overfit"),
        ({"rise": 0.09, "train_fall": 0.31}, 1_000, "good"),
        ({"rise": 0.11, "train_fall": 0.29}, 1_000, "good"),
        ({"gain": 0.019, "train_fall": 0.29}, 1_000, "underfit"),
        ({"gain": 0.021, "train_fall": 0.29}, 1_000, "good"),
        ({"gain": 0.019, "train_fall": 0.31}, 1_000, "good"),
        ({"best": 19}, 20, "not_converged"),
        ({"best": 18}, 20, "good"),
    ],
)
def test_verdicts_change_at_their_thresholds(
    given: dict[str, float], allowed: int, verdict: str
) -> None:
    assert diagnose(learning_curvewith(**given), allowed=allowed).verdict == verdict  # type: ignore[arg-type]


def test_changes_are_relative_to_their_start() -> None:
    curve = {"train_losses": [4.0, 2.0, 1.0], "validation_losses": [5.0, 4.0, 6.0], "best_epoch": 2}
    assert rise_after_best(curve) == 0.5
    assert fall_after_best(curve) == 0.5
    assert train_loss_gain(curve) == 0.75
    assert validation_loss_gain(curve) == pytest.approx(0.2)
    below = {"train_losses": [-1.0, -2.0], "validation_losses": [-1.0, -2.0], "best_epoch": 2}
    assert train_loss_gain(below) == validation_loss_gain(below) == 1
