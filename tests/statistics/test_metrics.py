"""What holds for every metric there is, and the pieces that metrics are made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from sklearn import metrics as peer

from fieldcraft.core import catalog
from fieldcraft.statistics import (
    classification_metrics,
    multilabel_metrics,
    ordinal_metrics,
    regression_metrics,
)
from fieldcraft.statistics.bootstrap import BootstrapPlan, resample
from fieldcraft.statistics.metrics import (
    Metric,
    Predictions,
    binary_average_precision,
    binary_roc_auc,
    concat_predictions,
    cumulative_counts,
    expected_calibration_error,
    nanmean_over_first_axis,
    safe_divide,
    weighted_mean,
)
from tests.statistics.samples import (
    N_ROWS,
    Array,
    LabeledPredictions,
    bootstrap_weights,
    classification_sample,
    find_metrics,
    fractional_weights,
    multilabel_sample,
    perfect_predictions,
    regression_sample,
)

BINARY_METRICS = {"precision", "recall", "f1"} | {
    metric.title
    for metric in (
        classification_metrics.BRIER,
        classification_metrics.ROC_AUC,
        classification_metrics.AVERAGE_PRECISION,
        classification_metrics.BINARY_CALIBRATION_ERROR,
    )
}
# Neither direction of these is better by itself.
UNDIRECTED_METRICS = {
    "mean_set_size",
    "mean_undecided_labels",
    "mean_interval_width",
    "mean_error",
    "coverage",
}


def sample_for(metric: Metric) -> LabeledPredictions:
    """A sample of the task of a metric."""
    if metric in find_metrics(regression_metrics):
        return regression_sample()
    if metric in find_metrics(multilabel_metrics):
        return multilabel_sample()
    return classification_sample(
        2 if metric.name in BINARY_METRICS or metric.title in BINARY_METRICS else 4
    )


ALL_METRICS = [
    pytest.param(metric, sample_for(metric), id=f"{module.__name__.rsplit('.')[-1]}-{metric.name}")
    for module in (classification_metrics, regression_metrics, multilabel_metrics, ordinal_metrics)
    for metric in find_metrics(module)
]
with_all_metrics = pytest.mark.parametrize(("metric", "sample"), ALL_METRICS)
with_directed_metrics = pytest.mark.parametrize(
    ("metric", "sample"),
    [p for p in ALL_METRICS if p.values[0].name not in UNDIRECTED_METRICS],  # type: ignore[union-attr]
)


def test_every_metric_of_every_task_is_tested() -> None:
    used = {metric for task in catalog.load_plugins("tasks") for metric in task.metrics}
    assert used <= {parameter.values[0] for parameter in ALL_METRICS}


def test_metric_names_are_stable() -> None:
    assert " ".join(sorted({parameter.values[0].name for parameter in ALL_METRICS})) == (  # type: ignore[union-attr]
        "accuracy average_precision balanced_accuracy brier coverage ece f1 hamming_loss log_loss "
        "macro_f1 macro_mae mae mape mcc mean_error mean_interval_width mean_set_size "
        "mean_undecided_labels micro_f1 pinball_loss precision quadratic_kappa r2 recall rmse "
        "roc_auc rps subset_accuracy"
    )


@with_all_metrics
def test_an_integer_weight_counts_as_repeated_rows(
    metric: Metric, sample: LabeledPredictions
) -> None:
    weights = bootstrap_weights(3)
    values = metric.compute(sample.y, sample.predictions, weights)
    assert values.shape == (len(weights),)
    assert values.dtype == np.float64
    if metric.name == "ece":
        return  # its bins are those of the rows without resampling
    for times, value in zip(weights, values, strict=True):
        again = sample.select_rows(np.repeat(np.arange(N_ROWS), times.astype(int)))
        alone = metric.compute(again.y, again.predictions, np.ones((1, len(again.y))))
        assert value == pytest.approx(alone[0], rel=1e-5, abs=1e-7)


@with_all_metrics
def test_the_scale_of_weights_and_the_order_of_rows_do_not_matter(
    metric: Metric, sample: LabeledPredictions
) -> None:
    weights = fractional_weights(1)
    values = metric.compute(sample.y, sample.predictions, weights)
    order = np.random.default_rng(0).permutation(N_ROWS)
    turned = sample.select_rows(order)
    for scaled in (
        metric.compute(sample.y, sample.predictions, 4 * weights),
        metric.compute(turned.y, turned.predictions, weights[:, order]),
    ):
        assert scaled == pytest.approx(values, rel=1e-5, abs=1e-7)


@with_all_metrics
def test_the_value_of_a_resample_does_not_depend_on_the_others(
    metric: Metric, sample: LabeledPredictions
) -> None:
    weights = bootstrap_weights(5)
    together = metric.compute(sample.y, sample.predictions, weights)
    alone = [metric.compute(sample.y, sample.predictions, weights[i : i + 1])[0] for i in range(7)]
    assert together == pytest.approx(alone, rel=1e-6, abs=1e-9)


@with_all_metrics
def test_a_resample_without_weight_is_nan_without_a_warning(
    metric: Metric, sample: LabeledPredictions
) -> None:
    weights = np.stack([np.ones(N_ROWS), np.zeros(N_ROWS)]).astype(np.float32)
    whole, none = metric.compute(sample.y, sample.predictions, weights)
    assert np.isfinite(whole)
    assert np.isnan(none)


@with_all_metrics
def test_single_precision_outputs_give_nearly_the_same_values(
    metric: Metric, sample: LabeledPredictions
) -> None:
    predictions = sample.predictions
    single = type(predictions)(
        predictions.outputs.astype(np.float32),
        predictions.decisions,
        predictions.regions,
        predictions.coverage,
    )
    weights = bootstrap_weights(2)
    values = metric.compute(sample.y, single, weights)
    assert values == pytest.approx(
        metric.compute(sample.y, predictions, weights), rel=1e-4, abs=1e-6
    )


@with_directed_metrics
def test_perfect_predictions_are_best_in_the_direction_of_the_metric(
    metric: Metric, sample: LabeledPredictions
) -> None:
    weights = np.ones((1, N_ROWS))
    best = metric.compute(sample.y, perfect_predictions(sample), weights)[0]
    gain = best - metric.compute(sample.y, sample.predictions, weights)[0]
    assert (gain > 0) is np.bool_(metric.greater_is_better)
    assert best == pytest.approx(1.0 if metric.greater_is_better else 0.0, abs=1e-9)


def test_a_thousand_resamples_cost_far_less_than_a_thousand_calls() -> None:
    sample, resamples = classification_sample(2, n_rows=20_000), 100
    metrics = catalog.load_plugin("tasks", "binary").metrics
    positive, decided = sample.predictions.outputs[:, 1], sample.predictions.decisions
    calls: list[tuple[Callable[..., float], Array]] = [
        (peer.roc_auc_score, positive),
        (peer.average_precision_score, positive),
        (peer.f1_score, decided),
        (peer.matthews_corrcoef, decided),
        (peer.accuracy_score, decided),
    ]

    def resample_all() -> None:
        statistics = {m.name: partial(m.compute, sample.y, sample.predictions) for m in metrics}
        resample(statistics, BootstrapPlan(len(sample.y), 0, n_resamples=resamples))

    def call_scikit_learn() -> None:
        weights = np.ones(len(sample.y))
        for score, prediction in calls:
            score(sample.y, prediction, sample_weight=weights)

    # A tenth of the time is usual.
    assert cpu_seconds(resample_all) < resamples * cpu_seconds(call_scikit_learn) / 2


def cpu_seconds(task: Callable[[], None]) -> float:
    """The least processor time of three runs, in seconds."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        task()
        seconds.append(time.process_time() - start)
    return min(seconds)


def test_a_division_by_zero_is_nan_without_a_warning() -> None:
    above, below = np.array([1.0, 0.0, 3.0]), np.array([2.0, 0.0, 4.0])
    assert safe_divide(above, below) == pytest.approx([0.5, np.nan, 0.75], nan_ok=True)


def test_means_leave_out_undefined_values() -> None:
    table = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    assert nanmean_over_first_axis(table) == pytest.approx([2.0, 5.0, np.nan], nan_ok=True)
    assert weighted_mean(
        np.array([1, 2, 6]), np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 3.0]])
    ).tolist() == [
        1.5,
        5.0,
    ]


def test_tied_scores_are_one_step_of_the_curve() -> None:
    positive = np.array([True, False, True, False])
    score = np.array([0.9, 0.5, 0.5, 0.1])
    hits, misses = cumulative_counts(
        positive, score, np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 1.0, 5.0]])
    )
    assert hits.tolist() == [[1, 2, 2], [2, 3, 3]]
    assert misses.tolist() == [[0, 1, 2], [0, 0, 5]]


def test_areas_by_hand() -> None:
    positive, score = np.array([True, False, True, False]), np.array([0.9, 0.5, 0.5, 0.1])
    even = np.ones((1, 4))
    # Of the four pairs of a positive and a negative three are right and one is a tie.
    assert binary_roc_auc(positive, score, even)[0] == 3.5 / 4
    # Half of the positives at precision 1, the other half at precision 2/3.
    assert binary_average_precision(positive, score, even)[0] == pytest.approx(0.5 + 0.5 * 2 / 3)


@pytest.mark.parametrize("kept", [True, False])
def test_areas_of_one_class_are_not_defined(kept: bool) -> None:
    positive, score = np.array([True, False]), np.array([0.3, 0.6])
    weights = (positive == kept).astype(float)[None, :]
    assert np.isnan(binary_roc_auc(positive, score, weights)[0])
    assert np.isnan(binary_average_precision(positive, score, weights)[0]) == (not kept)


def test_the_calibration_error_weights_bins_by_their_rows() -> None:
    confidence = np.repeat([0.2, 0.8], [50, 50])
    right = np.concatenate([np.arange(50) < 10, np.arange(50) < 30])  # 20 % and 60 %
    even, upper = np.ones(100), np.repeat([0.0, 1.0], [50, 50])
    errors = expected_calibration_error(confidence, right, np.stack([even, upper]))
    assert errors == pytest.approx([0.1, 0.2])


def unweighted_calibration_error(confidence: Array, is_event: Array) -> float:
    """The expected calibration error of rows that count alike."""
    weights = np.ones((1, len(is_event)))
    return float(expected_calibration_error(confidence, is_event, weights)[0])


def test_rows_of_the_same_confidence_share_a_bin() -> None:
    is_event = np.arange(40) < 10
    assert unweighted_calibration_error(np.full(40, 0.25), is_event) == pytest.approx(0)


def test_overconfident_probabilities_have_a_large_calibration_error() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(5_000)
    is_event = rng.random(5_000) < probability
    odds = (probability / (1 - probability)) ** 5
    assert unweighted_calibration_error(probability, is_event) < 0.03
    assert unweighted_calibration_error(odds / (1 + odds), is_event) > 0.1


@pytest.mark.parametrize("step", [1, -1])
def test_the_order_of_rows_with_equal_confidence_does_not_matter(step: int) -> None:
    is_event = np.repeat([False, True], 50)[::step]
    assert unweighted_calibration_error(np.full(100, 0.5), is_event) == pytest.approx(0.0)
    confidence = np.repeat([0.2, 0.6], 50)[::step]
    assert unweighted_calibration_error(confidence, is_event) == pytest.approx(0.3)


def test_calibration_gaps_count_by_rows_and_by_absolute_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    confidence = np.repeat([0.2, 0.9], [75, 25])
    is_event = np.repeat([False, True], [75, 25])
    # Overconfident in one bin, underconfident in the other: 0.75 * 0.2 + 0.25 * 0.1.
    assert unweighted_calibration_error(confidence, is_event) == pytest.approx(0.175)
    monkeypatch.setattr("fieldcraft.statistics.metrics.N_CALIBRATION_BINS", 1)
    # In one bin the gaps offset each other: 0.375 is predicted, 0.25 come true.
    assert unweighted_calibration_error(confidence, is_event) == pytest.approx(0.125)


def test_predictions_are_selected_and_concatenated_by_row() -> None:
    sure = np.array([True, False, True])
    whole = Predictions(np.eye(3), np.arange(3), np.eye(3) > 0, 0.8, sure)
    part = whole.select_rows(np.array([2, 0]))
    assert part.outputs.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert part.decisions.tolist() == [2, 0]
    assert part.regions.tolist() == [[False, False, True], [True, False, False]]
    assert part.coverage == 0.8
    assert part.accepted is not None
    assert part.accepted.tolist() == [True, True]
    again = concat_predictions(
        [whole.select_rows(np.array([0])), whole.select_rows(np.array([1, 2]))]
    )
    for name in ("outputs", "decisions", "regions", "accepted"):
        assert (getattr(again, name) == getattr(whole, name)).all()
    assert again.coverage == 0.8
    always = Predictions(np.eye(3), np.arange(3), np.eye(3) > 0)
    assert always.select_rows(sure).accepted is None
    assert concat_predictions([always, always]).accepted is None
