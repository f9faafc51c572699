"""Losses are from 0 to 1; alarms come where they grow, and only there."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from fieldcraft.statistics import performance
from fieldcraft.statistics.sequential import confidence_sequence

REFERENCE = {"rows": 2_000, "loss": 0.1, "spread": 0.15, "unit": 1.0}


def beta_losses(mean: float, n_rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(1, 1 / mean - 1, n_rows)


def test_losses_of_classes_are_half_the_brier_score() -> None:
    said = pl.DataFrame({"prediction": ["a", "b"], "probability_a": [1.0, 0.25],
                         "probability_b": [0.0, 0.75]})  # fmt: skip
    assert performance.bounded_losses(said, np.array([0, 0]), 1.0).tolist() == [0, 0.75**2]
    assert performance.bounded_losses(said, np.array([1, 1]), 1.0).tolist() == [1, 0.25**2]


def test_losses_of_amounts_are_errors_in_their_unit() -> None:
    said = pl.DataFrame({"prediction": [1.0, 2.0, 9.0]})
    known = performance.reference_loss(said, np.array([1.0, 1.0, 7.0]))
    assert known["unit"] == pytest.approx(5.0)
    assert known["loss"] == pytest.approx(0.2)
    assert performance.bounded_losses(said, np.array([1.0, 1.0, 99.0]), 5.0).tolist() == [0, 0.2, 1]
    exact = performance.reference_loss(said, said["prediction"].to_numpy())
    assert exact["unit"] == 1


def test_what_stays_or_gets_better_is_no_harm() -> None:
    for mean in (0.1, 0.05):
        for seed in range(20):
            found = performance.detect_degradation(beta_losses(mean, 5_000, seed), REFERENCE)
            assert not found.has_alarm
            assert found.low <= mean <= found.high
    assert 0.11 < performance.loss_threshold(REFERENCE) < 0.13


def test_harm_is_told_soon_with_its_beginning_and_is_over_when_it_is() -> None:
    good, bad = beta_losses(0.1, 3_000), beta_losses(0.2, 1_000)
    found = performance.detect_degradation(np.concatenate([good, bad]), REFERENCE)
    assert found.has_alarm
    assert found.alarm_start_row is not None
    assert found.alarm_start_row + performance.ROWS_PER_BLOCK >= 3_000
    after = np.concatenate([good, bad, beta_losses(0.1, 6_000, seed=3)])
    assert not performance.detect_degradation(after, REFERENCE).has_alarm


REFERENCE_WITHOUT_ERROR = {
    "rows": 2_000,
    "loss": 0.1,
    "spread": 0.0,
    "unit": 1.0,
}  # no error of its own


def constant_blocks(*losses: float) -> np.ndarray:
    """Blocks of labelled rows, each of one loss."""
    return np.repeat(losses, performance.ROWS_PER_BLOCK)


@pytest.mark.parametrize("rows", [30, 2_000])
def test_the_loss_that_is_allowed_makes_room_for_the_error_of_the_reference(rows: int) -> None:
    known = {**REFERENCE, "rows": rows}
    upper = 0.1 + norm.ppf(0.99) * 0.15 / math.sqrt(rows)
    assert performance.loss_threshold(known) == pytest.approx(1.1 * upper)
    assert performance.loss_threshold(known, max_degradation=0.5) == pytest.approx(1.5 * upper)
    assert performance.loss_threshold({**known, "loss": 0.99}) == 1
    assert performance.loss_threshold({**known, "loss": 0.0, "spread": 0.0}) == 1e-6


def test_evidence_of_harm_is_what_bets_against_the_allowed_loss_win() -> None:
    found = performance.detect_degradation(constant_blocks(0.12, 0.115), REFERENCE_WITHOUT_ERROR)
    stakes = np.array([0.05, 0.1, 0.2, 0.4, 0.8]) / 0.11
    first, second = ((1 + stakes * (loss - 0.11)) ** 50 for loss in (0.12, 0.115))
    assert found.loss_threshold == pytest.approx(0.11)
    assert found.log_evidence == pytest.approx(math.log(np.mean((first + 1) * second)), rel=1e-6)
    assert found.log_threshold == pytest.approx(math.log(720 / 0.35))
    assert not found.has_alarm
    half = np.append(
        constant_blocks(0.12, 0.115), [1.0] * 49
    )  # a block that is not whole does not count
    assert (
        performance.detect_degradation(half, REFERENCE_WITHOUT_ERROR).log_evidence
        == found.log_evidence
    )


def test_the_mean_of_what_bets_win_is_at_most_one_where_there_is_no_harm() -> None:
    most = performance.loss_threshold(REFERENCE_WITHOUT_ERROR)
    for bet in performance.BET_FRACTIONS:
        # Of losses of 0 and 1 with a mean as high as is allowed, and never below nothing.
        won = 1 + np.array(bet) / most * (np.array([0.0, 1.0]) - most)
        assert (1 - most) * won[0] + most * won[1] == pytest.approx(1)
        assert won.min() > 0


def test_more_streams_need_more_evidence_so_that_alarms_stay_as_rare() -> None:
    one, many = (
        performance.detect_degradation(constant_blocks(0.145), REFERENCE_WITHOUT_ERROR, n_streams=n)
        for n in (1, 1_000)
    )
    assert many.log_threshold - one.log_threshold == pytest.approx(math.log(1_000))
    assert one.has_alarm
    assert not many.has_alarm
    assert one.log_threshold < many.log_evidence < many.log_threshold


@pytest.mark.parametrize("seed", range(3))
def test_of_many_groups_without_harm_hardly_any_alarms(seed: int) -> None:
    draw, groups = np.random.default_rng(seed), 40
    known = {**REFERENCE_WITHOUT_ERROR, "loss": 1 / 11}
    assert performance.loss_threshold(known) == pytest.approx(0.1)
    found = [
        performance.detect_degradation(draw.random(5_000) < 0.1, known, n_streams=groups)
        for _ in range(groups)
    ]
    assert sum(harm.has_alarm for harm in found) <= 1


@pytest.mark.parametrize("before", [0, 3, 40])
def test_an_alarm_is_over_when_it_was_not_found_again_in_three_times_its_delay(before: int) -> None:
    good, bad = [0.05] * before, [1.0]  # found after one block, however long it was quiet before
    for after, alarmed in ((0, True), (6, True), (7, False), (60, False)):
        found = performance.detect_degradation(
            constant_blocks(*good, *bad, *[0.05] * after), REFERENCE_WITHOUT_ERROR
        )
        assert found.has_alarm == alarmed
        assert found.alarm_start_row == (before * performance.ROWS_PER_BLOCK if alarmed else None)


def test_harm_that_goes_on_keeps_the_alarm_and_moves_its_beginning() -> None:
    found = performance.detect_degradation(
        constant_blocks(*[0.05] * 4, 1.0, 0.05, 1.0, *[0.05] * 6), REFERENCE_WITHOUT_ERROR
    )
    assert found.has_alarm
    assert found.alarm_start_row == 6 * performance.ROWS_PER_BLOCK
    # One that took two blocks stands longer, unless the first was less than half of the way.
    for first, over in ((0.13, 10), (0.12, 7)):
        assert (
            performance.detect_degradation(
                constant_blocks(first), REFERENCE_WITHOUT_ERROR
            ).log_evidence
            > 7.6 / 2
        ) == (over == 10)
        for after, alarmed in ((over - 1, True), (over, False)):
            slow = performance.detect_degradation(
                constant_blocks(first, 0.13, *[0.05] * after), REFERENCE_WITHOUT_ERROR
            )
            assert slow.alarm_start_row == (performance.ROWS_PER_BLOCK if alarmed else None)


def test_an_alarm_leaves_nothing_in_the_detector() -> None:
    found = performance.detect_degradation(constant_blocks(1.0, 0.12), REFERENCE_WITHOUT_ERROR)
    stakes = np.array([0.05, 0.1, 0.2, 0.4, 0.8]) / 0.11
    assert found.log_evidence == pytest.approx(
        math.log(np.mean((1 + stakes * 0.01) ** 50)), rel=1e-6
    )


def test_the_bounds_are_those_of_all_losses() -> None:
    values = beta_losses(0.1, 120)
    found = performance.detect_degradation(values, REFERENCE)
    low, high = confidence_sequence(values, 0.95)
    assert (found.n_rows, found.low, found.high) == (120, low[-1], high[-1])
    assert found.mean_loss == pytest.approx(values.mean())


def test_the_reference_is_the_loss_of_the_rows_and_its_spread() -> None:
    said = pl.DataFrame({"prediction": ["a"] * 2, "probability_a": [1.0, 0.5],
                         "probability_b": [0.0, 0.5]})  # fmt: skip
    assert performance.reference_loss(said, np.array([0, 1])) == {
        "rows": 2, "loss": 0.125, "spread": 0.125, "unit": 1.0
    }  # fmt: skip


def test_each_group_of_thirty_rows_has_a_loss_of_its_own_and_the_common_ones_come_first() -> None:
    places = ["a"] * 40 + ["b"] * 30 + ["c"] * 29 + [None] * 31
    found = np.concatenate([np.tile([0.0, 0.5], 20), np.full(30, 0.1), np.ones(60)])
    told = performance.losses_by_group(found, pl.DataFrame({"place": places}))
    assert told["place"]["edges"] == []
    assert told["place"]["groups"] == {
        "a": {"rows": 40, "loss": 0.25, "spread": 0.25},
        "b": {"rows": 30, "loss": pytest.approx(0.1), "spread": pytest.approx(0, abs=1e-9)},
    }
    many = pl.DataFrame({"place": [f"g{k:02}" for k in range(13) for _ in range(30 + k)]})
    groups = performance.losses_by_group(np.zeros(many.height), many)["place"]["groups"]
    assert sorted(groups) == [f"g{k:02}" for k in range(1, 13)]  # the rarest is left out


def test_groups_of_numbers_are_quarters_whose_edges_are_kept() -> None:
    ages = pl.DataFrame({"age": np.arange(160.0)})
    told = performance.losses_by_group(np.arange(160) / 160, ages)["age"]
    assert told["edges"] == [39.75, 79.5, 119.25]
    assert [group["rows"] for group in told["groups"].values()] == [40] * 4
    assert min(told["groups"].values(), key=lambda group: group["loss"])["loss"] == (
        pytest.approx(19.5 / 160)
    )


def test_of_no_labels_nothing_is_said() -> None:
    found = performance.detect_degradation(np.zeros(0), REFERENCE)
    assert (found.n_rows, found.mean_loss, found.low, found.high) == (0, None, 0, 1)
    assert not found.has_alarm


def test_calibrated_probabilities_promise_a_share_of_right_decisions() -> None:
    said = pl.DataFrame({"probability_a": [0.9, 0.4], "probability_b": [0.1, 0.6]})
    assert performance.expected_accuracy(said) == pytest.approx(0.75)
    assert performance.expected_accuracy(pl.DataFrame({"prediction": [1.0]})) is None
    assert performance.expected_accuracy(said.clear()) is None
