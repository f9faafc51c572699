"""From the losses of training it is told what to try next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fieldcraft.evidence.fitness import (
    Fitness,
    fall_after_best,
    gain_of,
    judge_fit,
    learned_in,
    rise_after_best,
)

EPOCHS = 20


def curve(train: list[float], tune: list[float]) -> dict[str, Any]:
    """The losses of one member, with its best epoch."""
    return {"train_losses": train, "tune_losses": tune, "best_epoch": int(np.argmin(tune)) + 1}


def falling(start: float, end: float, epochs: int = EPOCHS) -> list[float]:
    """A loss that falls evenly."""
    return [float(value) for value in np.linspace(start, end, epochs)]


GOOD = curve(falling(0.7, 0.28), [*falling(0.7, 0.3, 15), *falling(0.301, 0.31, 5)])
OVERFIT = curve(falling(0.7, 0.05), [*falling(0.7, 0.4, 10), *falling(0.42, 0.6, 10)])
UNDERFIT = curve(falling(0.70, 0.69), [*falling(0.70, 0.695, 10), *falling(0.695, 0.696, 10)])
UNFINISHED = curve(falling(0.7, 0.3), falling(0.7, 0.3))


def judged(*curves: dict[str, Any], allowed: int = 1_000) -> Fitness:
    """What is said, if anything is."""
    found = judge_fit(curves, allowed)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("losses", "allowed", "verdict", "evidence", "advice"),
    [
        (GOOD, 1_000, "good", "lowest in epoch 15", "more rows"),
        (OVERFIT, 1_000, "overfit", "after epoch 10 the tune loss rose by 50%", "model.dropout"),
        (UNDERFIT, 1_000, "underfit", "fell by 0.7% only", "model.width"),
        (UNFINISHED, EPOCHS, "unfinished", "epoch 20 of 20", "model.epochs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_verdict_comes_with_its_evidence_and_the_next_step(
    losses: dict[str, Any], allowed: int, verdict: str, evidence: str, advice: str
) -> None:
    found = judged(losses, allowed=allowed)
    assert found.verdict == verdict
    assert evidence in found.reason
    assert advice in found.step


def test_a_loss_that_was_lowest_long_before_the_last_epoch_allowed_is_finished() -> None:
    assert judged(UNFINISHED, allowed=EPOCHS).verdict == "unfinished"
    assert judged(UNFINISHED, allowed=EPOCHS + 2).verdict == "good"


def test_a_rising_tune_loss_is_no_overfit_unless_the_training_loss_falls() -> None:
    noisy = {**OVERFIT, "train_losses": falling(0.7, 0.6)}
    assert judged(noisy).verdict == "good"


def test_members_are_judged_by_their_mean() -> None:
    assert judged(OVERFIT, OVERFIT, GOOD).verdict == "overfit"
    assert judged(OVERFIT, GOOD, GOOD, GOOD, GOOD, GOOD, GOOD).verdict == "good"


def test_losses_below_zero_are_judged_like_others() -> None:
    shifted = curve(
        [x - 1 for x in UNDERFIT["train_losses"]], [x - 1 for x in UNDERFIT["tune_losses"]]
    )
    assert judged(shifted).verdict == "underfit"


def test_a_loss_of_nothing_is_no_division_by_zero() -> None:
    assert judged(curve([0.0, 0.0], [0.0, 0.0])).verdict == "underfit"


@pytest.mark.parametrize("curves", [[], [{"train_losses": [], "tune_losses": [], "best_epoch": 0}]])
def test_without_losses_nothing_is_said(curves: list[dict[str, Any]]) -> None:
    assert judge_fit(curves, 100) is None


def test_a_member_without_losses_does_not_count() -> None:
    empty = {"train_losses": [], "tune_losses": [], "best_epoch": 0}
    assert judged(OVERFIT, empty) == judged(OVERFIT)


def test_what_is_learned_in_the_first_epoch_is_learned() -> None:
    tuned = curve([0.49, 0.31, 0.19], [0.373, 0.371, 0.38])  # of a pretrained network
    assert judged(tuned).verdict == "good"


def losses(
    *, rise: float = 0.0, fall: float = 0.5, gain: float = 0.5, best: int = 10
) -> dict[str, Any]:
    """Twenty epochs: the tune loss falls by a share until the best and rises by one after it."""
    tune = [*falling(1, 1 - gain, best), *[(1 - gain) * (1 + rise)] * (20 - best)]
    train = [*[1.0] * best, *[1 - fall] * (20 - best)]
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
    assert judged(losses(**given), allowed=allowed).verdict == verdict  # type: ignore[arg-type]


def test_changes_are_relative_to_where_they_begin() -> None:
    curve_ = {"train_losses": [4.0, 2.0, 1.0], "tune_losses": [5.0, 4.0, 6.0], "best_epoch": 2}
    assert rise_after_best(curve_) == 0.5
    assert fall_after_best(curve_) == 0.5
    assert learned_in(curve_) == 0.75
    assert gain_of(curve_) == pytest.approx(0.2)
    below = {"train_losses": [-1.0, -2.0], "tune_losses": [-1.0, -2.0], "best_epoch": 2}
    assert learned_in(below) == gain_of(below) == 1
