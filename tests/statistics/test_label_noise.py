"""Label noise is estimated from confident predictions that disagree with the labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from fieldcraft.core.types import Array
from fieldcraft.statistics.bootstrap import ConfidenceInterval
from fieldcraft.statistics.label_noise import (
    LabelNoiseEstimate,
    cohen_kappa,
    confidence_rank,
    disagreement_ratio,
    estimate_label_noise,
)


def overlapping_classes(
    n_rows: int, logit_std: float, flipped_fraction: float, positive_rate: float = 0.5
) -> tuple[Array, Array]:
    """Return labels of overlapping classes, some of them flipped, and calibrated probabilities."""
    draw = np.random.default_rng(3)
    score = draw.normal(size=n_rows) * logit_std + np.log((1 - positive_rate) / positive_rate)
    truth = draw.random(n_rows) < 1 / (1 + np.exp(-score))
    y = truth ^ (draw.random(n_rows) < flipped_fraction)
    chance = flipped_fraction + (1 - 2 * flipped_fraction) / (1 + np.exp(-score))
    return np.stack([1 - chance, chance], axis=1), y.astype(np.int64)


@pytest.mark.parametrize("flipped", [0.05, 0.1, 0.2])
def test_flipped_labels_are_estimated_from_confident_rows(flipped: float) -> None:
    outputs, y = overlapping_classes(6000, 12.0, flipped)
    estimate = estimate_label_noise(outputs, y)
    assert estimate.is_significant
    assert estimate.noise_rate.low <= flipped <= estimate.noise_rate.high
    np.testing.assert_allclose(estimate.by_class, flipped, atol=0.03)


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("base", [0.5, 0.8, 0.95])
def test_overlapping_classes_have_no_noise(spread: float, base: float) -> None:
    assert not estimate_label_noise(*overlapping_classes(6000, spread, 0.0, base)).is_significant


def test_separable_classes_have_no_noise() -> None:
    assert not estimate_label_noise(*overlapping_classes(6000, 30.0, 0.0)).is_possible


def test_few_rows_are_not_significant() -> None:
    assert not estimate_label_noise(*overlapping_classes(120, 12.0, 0.1)).is_significant


def test_one_class_or_no_rows_gives_no_noise() -> None:
    for rows in (0, 1, 50):
        estimate = estimate_label_noise(
            np.tile([0.9, 0.1], (rows, 1)), np.zeros(rows, dtype=np.int64)
        )
        assert not estimate.is_possible


def test_rows_are_ordered_within_each_decision() -> None:
    outputs = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    np.testing.assert_allclose(
        confidence_rank(outputs, outputs.argmax(1)), [0.25, 0.75, 0.25, 0.75]
    )


def wrong_labels_by_quarter(wrong_by_quarter: dict[int, int]) -> tuple[Array, Array]:
    """Return 200 rows per decision, most confident first, with errors in each quarter."""
    sure = np.tile(np.linspace(0.99, 0.6, 200), 2)
    outputs = np.stack([sure, 1 - sure], axis=1)
    outputs[200:] = outputs[200:, ::-1]
    y = np.repeat([0, 1], 200)
    for quarter, count in wrong_by_quarter.items():
        for start in (0, 200):
            rows = start + 50 * quarter + np.arange(count)
            y[rows] = 1 - y[rows]
    return outputs, y


def test_the_most_confident_quarter_is_compared_with_the_second() -> None:
    outputs, y = wrong_labels_by_quarter({0: 4, 1: 6, 2: 50, 3: 50})
    order = np.random.default_rng(0).permutation(400)
    estimate = estimate_label_noise(outputs[order], y[order])
    expected = binomtest(8, 100).proportion_ci(method="wilson")
    assert estimate.noise_rate.value == 0.08
    assert (estimate.noise_rate.low, estimate.noise_rate.high) == pytest.approx(
        (expected.low, expected.high)
    )
    assert estimate.disagreement_ratio == pytest.approx(12 / 8 * np.exp((1 / 8 + 1 / 12) ** 0.5))
    half = np.r_[0:100, 200:300]
    decided = outputs.argmax(axis=1)
    assert estimate.kappa == pytest.approx(cohen_kappa_score(decided[half], y[half]))
    # Ten rows of each label were decided otherwise, out of the 100 that have it.
    assert estimate.by_class.tolist() == [0.1, 0.1]


@pytest.mark.parametrize(
    ("agreement", "low", "rise", "possible", "sure"),
    [
        (0.5, 0.02, 1.5, True, True),
        (0.49, 0.5, 1.0, False, False),  # a weak model
        (0.6, 0.0099, 1.0, False, False),
        (0.6, 0.01, 1.0, True, False),  # reported, but not significant
        (0.6, 0.0199, 1.0, True, False),
        (0.79, 0.1, 1.51, True, False),  # overlapping classes
        (0.8, 0.1, 2.0, True, True),
        (0.8, 0.1, 2.01, True, False),
    ],
)
def test_noise_is_significant_only_where_a_good_model_disagrees_evenly(
    agreement: float, low: float, rise: float, possible: bool, sure: bool
) -> None:
    estimate = LabelNoiseEstimate(ConfidenceInterval(0.5, low, 0.9), rise, agreement, np.zeros(2))
    assert (estimate.is_possible, estimate.is_significant) == (possible, sure)


@pytest.mark.parametrize("classes", [2, 5])
def test_agreement_is_cohens_kappa(classes: int) -> None:
    y, decided = np.random.default_rng(0).integers(0, classes, (2, 60))
    decided[:20] = y[:20]
    assert cohen_kappa(decided, y, classes) == pytest.approx(cohen_kappa_score(y, decided))
    assert cohen_kappa(y[:0], y[:0], classes) == 0


def test_the_disagreement_ratio_includes_a_standard_error() -> None:
    few, many = (np.arange(n) < n // 10 for n in (100, 10_000))
    assert disagreement_ratio(few, few) == pytest.approx(np.exp(0.2**0.5))
    assert disagreement_ratio(many, many) == pytest.approx(np.exp(0.002**0.5))
    assert disagreement_ratio(few, np.zeros(50, dtype=bool)) == 0
    assert disagreement_ratio(np.zeros(50, dtype=bool), few) == np.inf


def test_agreement_is_adjusted_for_chance() -> None:
    y = np.array([0, 0, 1, 1])
    assert cohen_kappa(y, y, 2) == 1
    assert cohen_kappa(np.array([0, 1, 0, 1]), y, 2) == 0
    assert cohen_kappa(y * 0, y * 0, 2) == 0
