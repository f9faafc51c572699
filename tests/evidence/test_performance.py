"""Losses are from 0 to 1; alarms come where they grow, and only there."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from fieldcraft.evidence import performance

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


def test_of_no_labels_nothing_is_said() -> None:
    found = performance.harmed(np.zeros(0), KNOWN)
    assert (found.rows, found.loss, found.low, found.high) == (0, None, 0, 1)
    assert not found.alarmed


def test_calibrated_probabilities_promise_a_share_of_right_decisions() -> None:
    said = pl.DataFrame({"probability_a": [0.9, 0.4], "probability_b": [0.1, 0.6]})
    assert performance.expected(said) == pytest.approx(0.75)
    assert performance.expected(pl.DataFrame({"prediction": [1.0]})) is None
    assert performance.expected(said.clear()) is None
