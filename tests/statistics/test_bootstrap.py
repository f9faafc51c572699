"""Intervals have their coverage, and comparisons are paired tests."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fieldcraft.statistics import classification_metrics
from fieldcraft.statistics.bootstrap import (
    MAX_WEIGHTS_PER_CHUNK,
    N_RESAMPLES,
    BootstrapPlan,
    ConfidenceInterval,
    PairedComparison,
    Statistic,
    paired_comparison,
    percentile_interval,
    resample,
)
from fieldcraft.statistics.metrics import Metric, Predictions

Array = npt.NDArray[Any]


def weighted_mean(sample: Array) -> Statistic:
    """The weighted mean of a sample, as a statistic of row weights."""
    return lambda weights: np.asarray(weights @ sample / weights.sum(axis=1))


def resampled_means(sample: Array, plan: BootstrapPlan) -> Array:
    """The mean of a sample and of its resamples."""
    return resample({"mean": weighted_mean(sample)}, plan)["mean"]


def all_weights(plan: BootstrapPlan) -> Array:
    """The weights that resampling passes to a statistic."""
    return np.concatenate(list(plan.weight_chunks()))


def test_the_first_value_is_without_resampling() -> None:
    sample = np.arange(7.0)
    values = resampled_means(sample, BootstrapPlan(7, 0))
    assert values[0] == 3.0
    assert len(values) == N_RESAMPLES + 1


def test_every_resample_has_as_many_rows_as_the_sample() -> None:
    weights = all_weights(BootstrapPlan(40, 0))
    assert (weights.sum(axis=1) == 40).all()
    assert (weights[1:] == 0).any(axis=1).all()
    assert (weights == weights.round()).all()


def test_clusters_are_drawn_as_a_whole() -> None:
    units = np.array(["b", "a", "b", "c", "a", "b"])
    weights = all_weights(BootstrapPlan(6, 0, units, n_resamples=50))
    assert (weights[0] == 1).all()
    for name in "abc":
        here = weights[:, units == name]
        assert (here == here[:, :1]).all()
    draws = weights[:, [0, 1, 3]].sum(axis=1)  # one row of each unit
    assert (draws == 3).all()


@pytest.mark.parametrize("units", [None, np.array([5, 7, 5, 9, 7, 5])])
def test_sample_weights_apply_to_every_resample(units: Array | None) -> None:
    own = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 9.0])
    plain = all_weights(BootstrapPlan(6, 0, units, n_resamples=50))
    weighed = all_weights(BootstrapPlan(6, 0, units, own, n_resamples=50))
    assert weighed == pytest.approx(plain * own / own.mean())
    assert weighed[0].mean() == pytest.approx(1)


def test_equal_weights_change_nothing() -> None:
    sample, same = np.arange(7.0), np.full(7, 0.3)
    means = resampled_means(sample, BootstrapPlan(7, 0, weights=same))
    assert means == pytest.approx(resampled_means(sample, BootstrapPlan(7, 0)), rel=1e-6)


def test_a_weighted_mean_follows_the_weights() -> None:
    sample, own = np.array([0.0] * 50 + [1.0] * 50), np.repeat([1.0, 3.0], 50)
    interval = percentile_interval(resampled_means(sample, BootstrapPlan(100, 0, weights=own)))
    assert interval.value == pytest.approx(0.75)
    assert interval.low < 0.75 < interval.high


def test_all_statistics_share_the_resamples() -> None:
    draw = BootstrapPlan(30, 3, n_resamples=20)
    sample = np.random.default_rng(0).normal(size=30)
    values = resample({"one": weighted_mean(sample), ("another", 1): weighted_mean(-sample)}, draw)
    assert list(values) == ["one", ("another", 1)]
    assert (values["one"] == -values["another", 1]).all()
    assert (values["one"] == resampled_means(sample, draw)).all()
    assert resample({}, draw) == {}


def test_the_same_seed_draws_the_same_rows() -> None:
    assert (all_weights(BootstrapPlan(30, 5)) == all_weights(BootstrapPlan(30, 5))).all()
    assert (all_weights(BootstrapPlan(30, 5)) != all_weights(BootstrapPlan(30, 6))).any()


def test_many_rows_are_drawn_in_chunks_that_fit_in_memory() -> None:
    rows, seen = MAX_WEIGHTS_PER_CHUNK // 3, []

    def statistic(weights: Array) -> Array:
        seen.append(weights.shape)
        return np.asarray(weights.sum(axis=1))

    values = resample({"sum": statistic}, BootstrapPlan(rows, 0, n_resamples=7))["sum"]
    assert seen == [(1, rows), (3, rows), (3, rows), (1, rows)]
    assert (values == rows).all()


def test_an_interval_contains_the_true_mean_at_its_level() -> None:
    generator = np.random.default_rng(1)
    held = 0
    for seed in range(300):
        sample = generator.exponential(2.0, 120)
        interval = percentile_interval(
            resampled_means(sample, BootstrapPlan(120, seed, n_resamples=300))
        )
        assert interval.low < interval.value < interval.high
        held += interval.low <= 2.0 <= interval.high
    # 95 % less what percentile intervals of a skewed sample fall short of (1 to 3 %).
    assert 0.90 <= held / 300 <= 0.98


def test_repeated_rows_widen_the_interval_over_clusters() -> None:
    sample = np.repeat(np.random.default_rng(0).normal(size=50), 20)
    by_row = percentile_interval(resampled_means(sample, BootstrapPlan(1_000, 0)))
    by_unit = percentile_interval(
        resampled_means(sample, BootstrapPlan(1_000, 0, np.repeat(np.arange(50), 20)))
    )
    ratio = (by_unit.high - by_unit.low) / (by_row.high - by_row.low)
    assert ratio == pytest.approx(20**0.5, rel=0.2)


def test_a_lower_level_gives_a_narrower_interval() -> None:
    values = resampled_means(np.random.default_rng(0).normal(size=200), BootstrapPlan(200, 0))
    wide, narrow = percentile_interval(values), percentile_interval(values, 0.5)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert (wide.level, narrow.level) == (0.95, 0.5)


def test_undefined_resamples_are_left_out() -> None:
    assert percentile_interval(np.array([1.0, np.nan, 2.0, 4.0]), 1.0) == ConfidenceInterval(
        1.0, 2.0, 4.0, 1.0
    )


def test_an_interval_without_defined_resamples_is_undefined() -> None:
    interval = percentile_interval(np.array([1.0, np.nan, np.nan]))
    assert (interval.value, np.isnan(interval.low), np.isnan(interval.high)) == (1.0, True, True)


def good_and_poor_model(rows: int = 400) -> tuple[Array, Predictions, Predictions]:
    """Labels with the predictions of a good and a poor classifier."""
    generator = np.random.default_rng(3)
    y = generator.integers(0, 2, rows)
    predictions = []
    for separation in (0.6, 0.2):
        p = np.clip(0.5 + (y - 0.5) * separation + generator.normal(0, 0.2, rows), 0.01, 0.99)
        outputs = np.column_stack([1 - p, p])
        predictions.append(Predictions(outputs, outputs.argmax(axis=1), outputs > 0.1))
    return y, predictions[0], predictions[1]


def resampled_metric(metric: Metric, y: Array, predictions: Predictions) -> Array:
    """A metric on the rows and on resamples of them."""
    return resample(
        {metric.name: partial(metric.compute, y, predictions)}, BootstrapPlan(len(y), 0)
    )[metric.name]


DIRECTIONS = (
    classification_metrics.ROC_AUC,
    classification_metrics.ACCURACY,
    classification_metrics.LOG_LOSS,
)


@pytest.mark.parametrize("metric", DIRECTIONS, ids=lambda metric: metric.name)
def test_better_does_not_depend_on_the_direction_of_the_metric(metric: Metric) -> None:
    y, good, poor = good_and_poor_model()
    a, b = resampled_metric(metric, y, good), resampled_metric(metric, y, poor)
    up, down = (
        paired_comparison(a, b, metric.greater_is_better),
        paired_comparison(b, a, metric.greater_is_better),
    )
    assert (up.verdict, down.verdict) == ("better", "worse")
    assert up.difference == -down.difference > 0
    assert (up.low, up.high) == pytest.approx((-down.high, -down.low))
    assert up.p_value == down.p_value < 0.01


@pytest.mark.parametrize("metric", DIRECTIONS, ids=lambda metric: metric.name)
def test_a_model_ties_with_itself(metric: Metric) -> None:
    y, good, _ = good_and_poor_model()
    values = resampled_metric(metric, y, good)
    assert paired_comparison(values, values, metric.greater_is_better) == PairedComparison(
        0.0, 0.0, 0.0, 1.0
    )
    assert paired_comparison(values, values, metric.greater_is_better).verdict == "tie"


def test_two_equally_good_models_are_seldom_significantly_different() -> None:
    generator = np.random.default_rng(0)
    n_significant = 0
    for seed in range(200):
        a, b = generator.normal(size=(2, 100))
        of_a, of_b = (
            resampled_means(errors, BootstrapPlan(100, seed, n_resamples=200)) for errors in (a, b)
        )
        n_significant += paired_comparison(of_a, of_b, greater_is_better=False).verdict != "tie"
    assert n_significant / 200 == pytest.approx(0.05, abs=0.04)


def test_pairing_detects_a_gain_that_separate_intervals_hide() -> None:
    easy = np.random.default_rng(0).normal(size=300) * 5  # what is hard for one is for both
    a = resampled_means(easy + 0.2, BootstrapPlan(300, 0))
    b = resampled_means(easy, BootstrapPlan(300, 0))
    assert percentile_interval(a).low < percentile_interval(b).high
    assert paired_comparison(a, b, greater_is_better=True).verdict == "better"


def test_the_p_value_is_never_zero_and_agrees_with_the_interval() -> None:
    assert paired_comparison(np.full(1_000, 1.0), np.zeros(1_000), True).p_value == pytest.approx(
        2 / 1_000
    )
    drawn = np.concatenate([[0.5], np.linspace(-0.024, 0.976, 1_000)])
    assert paired_comparison(drawn, np.zeros(1_001), True).p_value == pytest.approx(0.05, abs=0.003)


def test_a_comparison_without_defined_resamples_is_a_tie() -> None:
    comparison = paired_comparison(np.array([0.5, np.nan]), np.array([0.4, 0.4]), True)
    assert (comparison.p_value, comparison.verdict) == (1.0, "tie")
    assert comparison.difference == pytest.approx(0.1)


def test_a_biased_estimate_is_within_its_corrected_interval_which_is_not_negative() -> None:
    draw = np.random.default_rng(0)
    values = np.append(0.02, np.abs(0.02 + 0.05 * draw.normal(size=1_000)))
    plain, moved = percentile_interval(values), percentile_interval(values, bias_corrected=True)
    assert moved.high - plain.high == pytest.approx(0.02 - values[1:].mean())
    assert 0 <= moved.low < 0.02 < moved.high


def test_bounds_are_quantiles_of_the_resamples() -> None:
    values = np.append(0.4, np.arange(101) / 100)  # every hundredth from 0 to 1
    interval = percentile_interval(np.append(values, np.nan), 0.9)
    assert (interval.value, interval.low, interval.high, interval.level) == pytest.approx(
        (0.4, 0.05, 0.95, 0.9)
    )
    assert percentile_interval(values).low == pytest.approx(0.025)
    alone = percentile_interval(np.array([0.3, np.nan]))
    assert alone.value == 0.3
    assert np.isnan([alone.low, alone.high]).all()


def test_an_interval_is_shifted_by_an_upward_bias_only() -> None:
    drawn = np.arange(101) / 100
    up = percentile_interval(np.append(0.4, drawn), 0.9, bias_corrected=True)
    assert (up.low, up.high) == pytest.approx((0.0, 0.85))  # by 0.5 - 0.4, and 0 at the least
    down = percentile_interval(np.append(0.7, drawn), 0.9, bias_corrected=True)
    assert (down.low, down.high) == pytest.approx((0.05, 0.95))


def test_the_p_value_counts_resamples_on_the_far_side_of_zero_on_either_side() -> None:
    drawn = np.concatenate([[0.2], np.full(3, -1.0), [0.0], np.full(95, 1.0)])
    for sign in (1, -1):
        comparison = paired_comparison(sign * drawn, np.zeros(100), True)
        assert comparison.p_value == pytest.approx(2 * (4 + 1) / 100)  # zero is on neither side
        assert comparison.difference == pytest.approx(sign * 0.2)
    assert paired_comparison(drawn, np.zeros(100), False).difference == pytest.approx(-0.2)
    undefined = np.where(np.arange(100) % 2, drawn, np.nan)
    assert paired_comparison(undefined, np.zeros(100), True).p_value == pytest.approx(
        2 * (np.sum(undefined[1:] <= 0) + 1) / (np.isfinite(undefined[1:]).sum() + 1)
    )


def test_a_verdict_needs_the_whole_interval_on_one_side() -> None:
    assert PairedComparison(0.1, 0.0, 0.2, 0.05).verdict == "tie"
    assert PairedComparison(-0.1, -0.2, 0.0, 0.05).verdict == "tie"
    assert PairedComparison(0.1, 1e-9, 0.2, 0.04).verdict == "better"
    assert PairedComparison(-0.1, -0.2, -1e-9, 0.04).verdict == "worse"


def test_clusters_are_drawn_uniformly() -> None:
    weights = all_weights(BootstrapPlan(3, 0, np.array([0, 1, 1]), n_resamples=4_000))[1:]
    # Of two units each is drawn 0, 1 or 2 times: a quarter, a half, a quarter.
    shares = np.bincount(weights[:, 0].astype(int)) / 4_000
    assert shares == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[:, 0] + weights[:, 1] == 2).all()
