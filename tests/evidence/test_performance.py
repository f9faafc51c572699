"""Losses are from 0 to 1; alarms come where they grow, and only there."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from fieldcraft.evidence import performance
from fieldcraft.evidence.sequential import bounds

KNOWN = {"rows": 2_000, "loss": 0.1, "spread": 0.15, "unit": 1.0}


def drawn(mean: float, rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).beta(1, 1 / mean - 1, rows)


def test_losses_of_classes_are_half_the_brier_score() -> None:
    said = pl.DataFrame({"prediction": ["a", "b"], "probability_a": [1.0, 0.25],
                         "probability_b": [0.0, 0.75]})  # fmt: skip
    assert performance.losses(said, np.array([0, 0]), 1.0).tolist() == [0, 0.75**2]
    assert performance.losses(said, np.array([1, 1]), 1.0).tolist() == [1, 0.25**2]


def test_losses_of_amounts_are_errors_in_their_unit() -> None:
    said = pl.DataFrame({"prediction": [1.0, 2.0, 9.0]})
    known = performance.reference(said, np.array([1.0, 1.0, 7.0]))
    assert known["unit"] == pytest.approx(5.0)
    assert known["loss"] == pytest.approx(0.2)
    assert performance.losses(said, np.array([1.0, 1.0, 99.0]), 5.0).tolist() == [0, 0.2, 1]
    exact = performance.reference(said, said["prediction"].to_numpy())
    assert exact["unit"] == 1


def test_what_stays_or_gets_better_is_no_harm() -> None:
    for mean in (0.1, 0.05):
        for seed in range(20):
            found = performance.harmed(drawn(mean, 5_000, seed), KNOWN)
            assert not found.alarmed
            assert found.low <= mean <= found.high
    assert 0.11 < performance.allowed(KNOWN) < 0.13


def test_harm_is_told_soon_with_its_beginning_and_is_over_when_it_is() -> None:
    good, bad = drawn(0.1, 3_000), drawn(0.2, 1_000)
    found = performance.harmed(np.concatenate([good, bad]), KNOWN)
    assert found.alarmed
    assert found.since is not None
    assert found.since + performance.BLOCK >= 3_000
    after = np.concatenate([good, bad, drawn(0.1, 6_000, seed=3)])
    assert not performance.harmed(after, KNOWN).alarmed


EXACT = {"rows": 2_000, "loss": 0.1, "spread": 0.0, "unit": 1.0}  # no error of its own


def blocks(*losses: float) -> np.ndarray:
    """Blocks of labelled rows, each of one loss."""
    return np.repeat(losses, performance.BLOCK)


@pytest.mark.parametrize("rows", [30, 2_000])
def test_the_loss_that_is_allowed_makes_room_for_the_error_of_the_reference(rows: int) -> None:
    known = {**KNOWN, "rows": rows}
    upper = 0.1 + norm.ppf(0.99) * 0.15 / math.sqrt(rows)
    assert performance.allowed(known) == pytest.approx(1.1 * upper)
    assert performance.allowed(known, worse=0.5) == pytest.approx(1.5 * upper)
    assert performance.allowed({**known, "loss": 0.99}) == 1
    assert performance.allowed({**known, "loss": 0.0, "spread": 0.0}) == 1e-6


def test_evidence_of_harm_is_what_bets_against_the_allowed_loss_win() -> None:
    found = performance.harmed(blocks(0.12, 0.115), EXACT)
    stakes = np.array([0.05, 0.1, 0.2, 0.4, 0.8]) / 0.11
    first, second = ((1 + stakes * (loss - 0.11)) ** 50 for loss in (0.12, 0.115))
    assert found.allowed == pytest.approx(0.11)
    assert found.level == pytest.approx(math.log(np.mean((first + 1) * second)), rel=1e-6)
    assert found.limit == pytest.approx(math.log(720 / 0.35))
    assert not found.alarmed
    half = np.append(blocks(0.12, 0.115), [1.0] * 49)  # a block that is not whole does not count
    assert performance.harmed(half, EXACT).level == found.level


def test_the_mean_of_what_bets_win_is_at_most_one_where_there_is_no_harm() -> None:
    most = performance.allowed(EXACT)
    for bet in performance.BETS:
        # Of losses of 0 and 1 with a mean as high as is allowed, and never below nothing.
        won = 1 + np.array(bet) / most * (np.array([0.0, 1.0]) - most)
        assert (1 - most) * won[0] + most * won[1] == pytest.approx(1)
        assert won.min() > 0


def test_more_streams_need_more_evidence_so_that_alarms_stay_as_rare() -> None:
    one, many = (performance.harmed(blocks(0.145), EXACT, streams=n) for n in (1, 1_000))
    assert many.limit - one.limit == pytest.approx(math.log(1_000))
    assert one.alarmed
    assert not many.alarmed
    assert one.limit < many.level < many.limit


@pytest.mark.parametrize("seed", range(3))
def test_of_many_groups_without_harm_hardly_any_alarms(seed: int) -> None:
    draw, groups = np.random.default_rng(seed), 40
    known = {**EXACT, "loss": 1 / 11}
    assert performance.allowed(known) == pytest.approx(0.1)
    found = [
        performance.harmed(draw.random(5_000) < 0.1, known, streams=groups) for _ in range(groups)
    ]
    assert sum(harm.alarmed for harm in found) <= 1


@pytest.mark.parametrize("before", [0, 3, 40])
def test_an_alarm_is_over_when_it_was_not_found_again_in_three_times_its_delay(before: int) -> None:
    good, bad = [0.05] * before, [1.0]  # found after one block, however long it was quiet before
    for after, alarmed in ((0, True), (6, True), (7, False), (60, False)):
        found = performance.harmed(blocks(*good, *bad, *[0.05] * after), EXACT)
        assert found.alarmed == alarmed
        assert found.since == (before * performance.BLOCK if alarmed else None)


def test_harm_that_goes_on_keeps_the_alarm_and_moves_its_beginning() -> None:
    found = performance.harmed(blocks(*[0.05] * 4, 1.0, 0.05, 1.0, *[0.05] * 6), EXACT)
    assert found.alarmed
    assert found.since == 6 * performance.BLOCK
    # One that took two blocks stands longer, unless the first was less than half of the way.
    for first, over in ((0.13, 10), (0.12, 7)):
        assert (performance.harmed(blocks(first), EXACT).level > 7.6 / 2) == (over == 10)
        for after, alarmed in ((over - 1, True), (over, False)):
            slow = performance.harmed(blocks(first, 0.13, *[0.05] * after), EXACT)
            assert slow.since == (performance.BLOCK if alarmed else None)


def test_an_alarm_leaves_nothing_in_the_detector() -> None:
    found = performance.harmed(blocks(1.0, 0.12), EXACT)
    stakes = np.array([0.05, 0.1, 0.2, 0.4, 0.8]) / 0.11
    assert found.level == pytest.approx(math.log(np.mean((1 + stakes * 0.01) ** 50)), rel=1e-6)


def test_the_bounds_are_those_of_all_losses() -> None:
    values = drawn(0.1, 120)
    found = performance.harmed(values, KNOWN)
    low, high = bounds(values, 0.95)
    assert (found.rows, found.low, found.high) == (120, low[-1], high[-1])
    assert found.loss == pytest.approx(values.mean())


def test_the_reference_is_the_loss_of_the_rows_and_its_spread() -> None:
    said = pl.DataFrame({"prediction": ["a"] * 2, "probability_a": [1.0, 0.5],
                         "probability_b": [0.0, 0.5]})  # fmt: skip
    assert performance.reference(said, np.array([0, 1])) == {
        "rows": 2, "loss": 0.125, "spread": 0.125, "unit": 1.0
    }  # fmt: skip


def test_each_group_of_thirty_rows_has_a_loss_of_its_own_and_the_common_ones_come_first() -> None:
    places = ["a"] * 40 + ["b"] * 30 + ["c"] * 29 + [None] * 31
    found = np.concatenate([np.tile([0.0, 0.5], 20), np.full(30, 0.1), np.ones(60)])
    told = performance.by_groups(found, pl.DataFrame({"place": places}))
    assert told["place"]["edges"] == []
    assert told["place"]["groups"] == {
        "a": {"rows": 40, "loss": 0.25, "spread": 0.25},
        "b": {"rows": 30, "loss": pytest.approx(0.1), "spread": pytest.approx(0, abs=1e-9)},
    }
    many = pl.DataFrame({"place": [f"g{k:02}" for k in range(13) for _ in range(30 + k)]})
    groups = performance.by_groups(np.zeros(many.height), many)["place"]["groups"]
    assert sorted(groups) == [f"g{k:02}" for k in range(1, 13)]  # the rarest is left out


def test_groups_of_numbers_are_quarters_whose_edges_are_kept() -> None:
    ages = pl.DataFrame({"age": np.arange(160.0)})
    told = performance.by_groups(np.arange(160) / 160, ages)["age"]
    assert told["edges"] == [39.75, 79.5, 119.25]
    assert [group["rows"] for group in told["groups"].values()] == [40] * 4
    assert min(told["groups"].values(), key=lambda group: group["loss"])["loss"] == (
        pytest.approx(19.5 / 160)
    )


def test_of_no_labels_nothing_is_said() -> None:
    found = performance.harmed(np.zeros(0), KNOWN)
    assert (found.rows, found.loss, found.low, found.high) == (0, None, 0, 1)
    assert not found.alarmed


def test_calibrated_probabilities_promise_a_share_of_right_decisions() -> None:
    said = pl.DataFrame({"probability_a": [0.9, 0.4], "probability_b": [0.1, 0.6]})
    assert performance.expected(said) == pytest.approx(0.75)
    assert performance.expected(pl.DataFrame({"prediction": [1.0]})) is None
    assert performance.expected(said.clear()) is None
