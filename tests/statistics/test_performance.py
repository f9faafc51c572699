"""Losses are from 0 to 1; an alarm is raised where they rise, and only there."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from fieldcraft.statistics import performance
from fieldcraft.statistics.sequential import confidence_sequence

REFERENCE = {"rows": 2_000, "loss": 0.1, "std": 0.15, "loss_unit": 1.0}


def beta_losses(mean: float, n_rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(1, 1 / mean - 1, n_rows)


def test_losses_of_classes_are_half_the_brier_score() -> None:
    frame = pl.DataFrame({"prediction": ["a", "b"], "probability_a": [1.0, 0.25],
                         "probability_b": [0.0, 0.75]})  # fmt: skip
    assert performance.bounded_losses(frame, np.array([0, 0]), 1.0).tolist() == [0, 0.75**2]
    assert performance.bounded_losses(frame, np.array([1, 1]), 1.0).tolist() == [1, 0.25**2]


def test_losses_of_numbers_are_absolute_errors_in_their_unit() -> None:
    frame = pl.DataFrame({"prediction": [1.0, 2.0, 9.0]})
    known = performance.reference_loss(frame, np.array([1.0, 1.0, 7.0]))
    assert known["loss_unit"] == pytest.approx(5.0)
    assert known["loss"] == pytest.approx(0.2)
    assert performance.bounded_losses(frame, np.array([1.0, 1.0, 99.0]), 5.0).tolist() == [
        0,
        0.2,
        1,
    ]
    exact = performance.reference_loss(frame, frame["prediction"].to_numpy())
    assert exact["loss_unit"] == 1


def test_stable_or_better_performance_raises_no_alarm() -> None:
    for mean in (0.1, 0.05):
        for seed in range(20):
            status = performance.detect_degradation(beta_losses(mean, 5_000, seed), REFERENCE)
            assert not status.is_degraded
            assert status.low <= mean <= status.high
    assert 0.11 < performance.loss_threshold(REFERENCE) < 0.13


def test_degradation_is_detected_soon_with_its_start_and_ends_with_it() -> None:
    good, bad = beta_losses(0.1, 3_000), beta_losses(0.2, 1_000)
    status = performance.detect_degradation(np.concatenate([good, bad]), REFERENCE)
    assert status.is_degraded
    assert status.alarm_since_row is not None
    assert status.alarm_since_row + performance.ROWS_PER_BLOCK >= 3_000
    after = np.concatenate([good, bad, beta_losses(0.1, 6_000, seed=3)])
    assert not performance.detect_degradation(after, REFERENCE).is_degraded


REFERENCE_WITHOUT_ERROR = {
    "rows": 2_000,
    "loss": 0.1,
    "std": 0.0,
    "loss_unit": 1.0,
}


def constant_blocks(*losses: float) -> np.ndarray:
    """Blocks of labeled rows, each with one loss."""
    return np.repeat(losses, performance.ROWS_PER_BLOCK)


@pytest.mark.parametrize("rows", [30, 2_000])
def test_the_loss_threshold_allows_for_the_error_of_the_reference(rows: int) -> None:
    known = {**REFERENCE, "rows": rows}
    upper = 0.1 + norm.ppf(0.99) * 0.15 / math.sqrt(rows)
    assert performance.loss_threshold(known) == pytest.approx(1.1 * upper)
    assert performance.loss_threshold(known, max_degradation=0.5) == pytest.approx(1.5 * upper)
    assert performance.loss_threshold({**known, "loss": 0.99}) == 1
    assert performance.loss_threshold({**known, "loss": 0.0, "std": 0.0}) == 1e-6


def test_the_e_value_is_the_wealth_of_bets_against_the_threshold() -> None:
    status = performance.detect_degradation(constant_blocks(0.12, 0.115), REFERENCE_WITHOUT_ERROR)
    stakes = np.array([0.05, 0.1, 0.2, 0.4, 0.8]) / 0.11
    first, second = ((1 + stakes * (loss - 0.11)) ** 50 for loss in (0.12, 0.115))
    assert status.loss_threshold == pytest.approx(0.11)
    assert status.log_e_value == pytest.approx(math.log(np.mean((first + 1) * second)), rel=1e-6)
    assert status.alarm_threshold == pytest.approx(math.log(720 / 0.35))
    assert not status.is_degraded
    # An incomplete block does not count.
    incomplete = np.append(constant_blocks(0.12, 0.115), [1.0] * 49)
    assert (
        performance.detect_degradation(incomplete, REFERENCE_WITHOUT_ERROR).log_e_value
        == status.log_e_value
    )


def test_bets_have_a_mean_of_at_most_one_without_degradation() -> None:
    threshold = performance.loss_threshold(REFERENCE_WITHOUT_ERROR)
    for bet in performance.BET_FRACTIONS:
        # Losses of 0 and 1 with a mean at the threshold; the stake stays positive.
        won = 1 + np.array(bet) / threshold * (np.array([0.0, 1.0]) - threshold)
        assert (1 - threshold) * won[0] + threshold * won[1] == pytest.approx(1)
        assert won.min() > 0


def test_more_streams_raise_the_alarm_threshold() -> None:
    single, multiple = (
        performance.detect_degradation(constant_blocks(0.145), REFERENCE_WITHOUT_ERROR, n_streams=n)
        for n in (1, 1_000)
    )
    assert multiple.alarm_threshold - single.alarm_threshold == pytest.approx(math.log(1_000))
    assert single.is_degraded
    assert not multiple.is_degraded
    assert single.alarm_threshold < multiple.log_e_value < multiple.alarm_threshold


@pytest.mark.parametrize("seed", range(3))
def test_many_groups_without_degradation_hardly_raise_alarms(seed: int) -> None:
    draw, groups = np.random.default_rng(seed), 40
    known = {**REFERENCE_WITHOUT_ERROR, "loss": 1 / 11}
    assert performance.loss_threshold(known) == pytest.approx(0.1)
    statuses = [
        performance.detect_degradation(draw.random(5_000) < 0.1, known, n_streams=groups)
        for _ in range(groups)
    ]
    assert sum(status.is_degraded for status in statuses) <= 1


@pytest.mark.parametrize("before", [0, 3, 40])
def test_an_alarm_ends_after_three_delays_without_another(before: int) -> None:
    good, bad = [0.05] * before, [1.0]  # detected after one block, however many good ones precede
    for after, alarmed in ((0, True), (6, True), (7, False), (60, False)):
        status = performance.detect_degradation(
            constant_blocks(*good, *bad, *[0.05] * after), REFERENCE_WITHOUT_ERROR
        )
        assert status.is_degraded == alarmed
        assert status.alarm_since_row == (before * performance.ROWS_PER_BLOCK if alarmed else None)


def test_lasting_degradation_renews_the_alarm() -> None:
    status = performance.detect_degradation(
        constant_blocks(*[0.05] * 4, 1.0, 0.05, 1.0, *[0.05] * 6), REFERENCE_WITHOUT_ERROR
    )
    assert status.is_degraded
    assert status.alarm_since_row == 6 * performance.ROWS_PER_BLOCK
    # An alarm after two blocks lasts longer, unless the first was below half of the threshold.
    for first, over in ((0.13, 10), (0.12, 7)):
        assert (
            performance.detect_degradation(
                constant_blocks(first), REFERENCE_WITHOUT_ERROR
            ).log_e_value
            > 7.6 / 2
        ) == (over == 10)
        for after, alarmed in ((over - 1, True), (over, False)):
            slow = performance.detect_degradation(
                constant_blocks(first, 0.13, *[0.05] * after), REFERENCE_WITHOUT_ERROR
            )
            assert slow.alarm_since_row == (performance.ROWS_PER_BLOCK if alarmed else None)


def test_an_alarm_resets_the_detector() -> None:
    status = performance.detect_degradation(constant_blocks(1.0, 0.12), REFERENCE_WITHOUT_ERROR)
    stakes = np.array([0.05, 0.1, 0.2, 0.4, 0.8]) / 0.11
    assert status.log_e_value == pytest.approx(
        math.log(np.mean((1 + stakes * 0.01) ** 50)), rel=1e-6
    )


def test_the_bounds_are_those_of_all_losses() -> None:
    values = beta_losses(0.1, 120)
    status = performance.detect_degradation(values, REFERENCE)
    low, high = confidence_sequence(values, 0.95)
    assert (status.n_rows, status.low, status.high) == (120, low[-1], high[-1])
    assert status.mean_loss == pytest.approx(values.mean())


def test_the_reference_has_mean_and_standard_deviation_of_the_loss() -> None:
    frame = pl.DataFrame({"prediction": ["a"] * 2, "probability_a": [1.0, 0.5],
                         "probability_b": [0.0, 0.5]})  # fmt: skip
    assert performance.reference_loss(frame, np.array([0, 1])) == {
        "rows": 2, "loss": 0.125, "std": 0.125, "loss_unit": 1.0
    }  # fmt: skip


def test_the_twelve_largest_groups_with_thirty_rows_have_a_loss() -> None:
    places = ["a"] * 40 + ["b"] * 30 + ["c"] * 29 + [None] * 31
    losses = np.concatenate([np.tile([0.0, 0.5], 20), np.full(30, 0.1), np.ones(60)])
    summary = performance.losses_by_group(losses, pl.DataFrame({"place": places}))
    assert summary["place"]["bin_edges"] == []
    assert summary["place"]["groups"] == {
        "a": {"rows": 40, "loss": 0.25, "std": 0.25},
        "b": {"rows": 30, "loss": pytest.approx(0.1), "std": pytest.approx(0, abs=1e-9)},
    }
    many = pl.DataFrame({"place": [f"g{k:02}" for k in range(13) for _ in range(30 + k)]})
    groups = performance.losses_by_group(np.zeros(many.height), many)["place"]["groups"]
    assert sorted(groups) == [f"g{k:02}" for k in range(1, 13)]  # the rarest is left out


def test_groups_of_numbers_are_quartiles_whose_edges_are_stored() -> None:
    ages = pl.DataFrame({"age": np.arange(160.0)})
    summary = performance.losses_by_group(np.arange(160) / 160, ages)["age"]
    assert summary["bin_edges"] == [39.75, 79.5, 119.25]
    assert [group["rows"] for group in summary["groups"].values()] == [40] * 4
    assert min(summary["groups"].values(), key=lambda group: group["loss"])["loss"] == (
        pytest.approx(19.5 / 160)
    )


def test_without_labels_there_is_no_alarm() -> None:
    status = performance.detect_degradation(np.zeros(0), REFERENCE)
    assert (status.n_rows, status.mean_loss, status.low, status.high) == (0, None, 0, 1)
    assert (status.log_e_value, status.is_degraded) == (0, False)


def test_the_expected_accuracy_is_the_mean_confidence() -> None:
    frame = pl.DataFrame({"probability_a": [0.9, 0.4], "probability_b": [0.1, 0.6]})
    assert performance.expected_accuracy(frame) == pytest.approx(0.75)
    assert performance.expected_accuracy(pl.DataFrame({"prediction": [1.0]})) is None
    assert performance.expected_accuracy(frame.clear()) is None
