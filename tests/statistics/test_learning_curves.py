"""From the losses of training it is told what to try next."""

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
        "tune_losses": validation,
        "best_epoch": int(np.argmin(validation)) + 1,
    }


def decreasing_losses(start: float, end: float, epochs: int = EPOCHS) -> list[float]:
    """A loss that falls evenly."""
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
UNFINISHED_CURVE = learning_curve(decreasing_losses(0.7, 0.3), decreasing_losses(0.7, 0.3))


def diagnose(*curves: dict[str, Any], allowed: int = 1_000) -> LearningCurveDiagnosis:
    """What is said, if anything is."""
    found = diagnose_learning_curves(curves, allowed)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("losses", "allowed", "verdict", "evidence", "advice"),
    [
        (GOOD_CURVE, 1_000, "good", "lowest in epoch 15", "more rows"),
        (
            OVERFIT_CURVE,
            1_000,
            "overfit",
            "after epoch 10 the tune loss rose by 50%",
            "model.dropout",
        ),
        (UNDERFIT_CURVE, 1_000, "underfit", "fell by 0.7% only", "model.width"),
        (UNFINISHED_CURVE, EPOCHS, "unfinished", "epoch 20 of 20", "model.epochs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_verdict_comes_with_its_evidence_and_the_next_step(
    losses: dict[str, Any], allowed: int, verdict: str, evidence: str, advice: str
) -> None:
    found = diagnose(losses, allowed=allowed)
    assert found.verdict == verdict
    assert evidence in found.reason
    assert advice in found.next_step


def test_a_loss_that_was_lowest_long_before_the_last_epoch_allowed_is_finished() -> None:
    assert diagnose(UNFINISHED_CURVE, allowed=EPOCHS).verdict == "unfinished"
    assert diagnose(UNFINISHED_CURVE, allowed=EPOCHS + 2).verdict == "good"


def test_a_rising_tune_loss_is_no_overfit_unless_the_training_loss_falls() -> None:
    noisy = {**OVERFIT_CURVE, "train_losses": decreasing_losses(0.7, 0.6)}
    assert diagnose(noisy).verdict == "good"


def test_members_are_judged_by_their_mean() -> None:
    assert diagnose(OVERFIT_CURVE, OVERFIT_CURVE, GOOD_CURVE).verdict == "overfit"
    assert (
        diagnose(
            OVERFIT_CURVE, GOOD_CURVE, GOOD_CURVE, GOOD_CURVE, GOOD_CURVE, GOOD_CURVE, GOOD_CURVE
        ).verdict
        == "good"
    )


def test_losses_below_zero_are_judged_like_others() -> None:
    shifted = learning_curve(
        [x - 1 for x in UNDERFIT_CURVE["train_losses"]],
        [x - 1 for x in UNDERFIT_CURVE["tune_losses"]],
    )
    assert diagnose(shifted).verdict == "underfit"


def test_a_loss_of_nothing_is_no_division_by_zero() -> None:
    assert diagnose(learning_curve([0.0, 0.0], [0.0, 0.0])).verdict == "underfit"


@pytest.mark.parametrize("curves", [[], [{"train_losses": [], "tune_losses": [], "best_epoch": 0}]])
def test_without_losses_nothing_is_said(curves: list[dict[str, Any]]) -> None:
    assert diagnose_learning_curves(curves, 100) is None


def test_a_member_without_losses_does_not_count() -> None:
    empty = {"train_losses": [], "tune_losses": [], "best_epoch": 0}
    assert diagnose(OVERFIT_CURVE, empty) == diagnose(OVERFIT_CURVE)


def test_what_is_learned_in_the_first_epoch_is_learned() -> None:
    tuned = learning_curve([0.49, 0.31, 0.19], [0.373, 0.371, 0.38])  # of a pretrained network
    assert diagnose(tuned).verdict == "good"


def learning_curve_with(
    *, rise: float = 0.0, train_fall: float = 0.5, gain: float = 0.5, best: int = 10
) -> dict[str, Any]:
    """Twenty epochs: the tune loss falls by a share until the best and rises by one after it."""
    tune = [*decreasing_losses(1, 1 - gain, best), *[(1 - gain) * (1 + rise)] * (20 - best)]
    train = [*[1.0] * best, *[1 - train_fall] * (20 - best)]
    return {"train_losses": train, "tune_losses": tune, "best_epoch": best}


@pytest.mark.parametrize(
    ("given", "allowed", "verdict"),
    [
        ({"rise": 0.11, "fall": 0.31}, 1_000, "overfit"),
        ({"rise": 0.09, "fall": 0.31}, 1_000, "good"),
        ({"rise": 0.11, "fall": 0.29}, 1_000, "good"),
        ({"gain": 0.019, "fall": 0.29}, 1_000, "underfit"),
        ({"gain": 0.021, "fall": 0.29}, 1_000, "good"),
        ({"gain": 0.019, "fall": 0.31}, 1_000, "good"),
        ({"best": 19}, 20, "unfinished"),
        ({"best": 18}, 20, "good"),
    ],
)
def test_verdicts_change_where_they_are_said_to(
    given: dict[str, float], allowed: int, verdict: str
) -> None:
    assert diagnose(learning_curve_with(**given), allowed=allowed).verdict == verdict  # type: ignore[arg-type]


def test_changes_are_relative_to_where_they_begin() -> None:
    curve_ = {"train_losses": [4.0, 2.0, 1.0], "tune_losses": [5.0, 4.0, 6.0], "best_epoch": 2}
    assert rise_after_best(curve_) == 0.5
    assert fall_after_best(curve_) == 0.5
    assert train_loss_gain(curve_) == 0.75
    assert validation_loss_gain(curve_) == pytest.approx(0.2)
    below = {"train_losses": [-1.0, -2.0], "tune_losses": [-1.0, -2.0], "best_epoch": 2}
    assert train_loss_gain(below) == validation_loss_gain(below) == 1
