from __future__ import annotations

import numpy as np
import pytest

from fieldcraft.contracts import Array
from fieldcraft.evidence.label_noise import kappa, most_rise, noise_of, sureness


def told(rows: int, spread: float, flipped: float, base: float = 0.5) -> tuple[Array, Array]:
    """Labels of two classes that overlap, a share of them flipped, and honest probabilities."""
    draw = np.random.default_rng(3)
    score = draw.normal(size=rows) * spread + np.log((1 - base) / base)
    truth = draw.random(rows) < 1 / (1 + np.exp(-score))
    y = truth ^ (draw.random(rows) < flipped)
    chance = flipped + (1 - 2 * flipped) / (1 + np.exp(-score))
    return np.stack([1 - chance, chance], axis=1), y.astype(np.int64)


@pytest.mark.parametrize("flipped", [0.05, 0.1, 0.2])
def test_flipped_labels_are_counted_where_the_model_is_sure(flipped: float) -> None:
    outputs, y = told(6000, 12.0, flipped)
    found = noise_of(outputs, y)
    assert found.sure
    assert found.share.low <= flipped <= found.share.high
    np.testing.assert_allclose(found.by_class, flipped, atol=0.03)


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("base", [0.5, 0.8, 0.95])
def test_classes_that_overlap_are_no_noise(spread: float, base: float) -> None:
    assert not noise_of(*told(6000, spread, 0.0, base)).sure


def test_classes_that_are_told_apart_leave_nothing_to_doubt() -> None:
    assert not noise_of(*told(6000, 30.0, 0.0)).possible


def test_few_rows_are_not_enough_to_be_sure() -> None:
    assert not noise_of(*told(120, 12.0, 0.1)).sure


def test_one_class_or_no_row_says_nothing() -> None:
    for rows in (0, 1, 50):
        found = noise_of(np.tile([0.9, 0.1], (rows, 1)), np.zeros(rows, dtype=np.int64))
        assert not found.possible


def test_rows_are_ordered_within_each_decision() -> None:
    outputs = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    np.testing.assert_allclose(sureness(outputs, outputs.argmax(1)), [0.25, 0.75, 0.25, 0.75])


def test_a_rise_takes_its_uncertainty_with_it() -> None:
    few, many = (np.arange(n) < n // 10 for n in (100, 10_000))
    assert most_rise(few, few) > most_rise(many, many) > 1
    assert most_rise(few, np.zeros(50, dtype=bool)) == 0
    assert most_rise(np.zeros(50, dtype=bool), few) == np.inf


def test_agreement_is_what_goes_beyond_chance() -> None:
    y = np.array([0, 0, 1, 1])
    assert kappa(y, y, 2) == 1
    assert kappa(np.array([0, 1, 0, 1]), y, 2) == 0
    assert kappa(y * 0, y * 0, 2) == 0
