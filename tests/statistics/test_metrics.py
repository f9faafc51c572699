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
# Of these no value is better by itself.
UNDIRECTED_METRICS = {"set_size", "open_labels", "width", "bias", "coverage"}


def sample_for(metric: Metric) -> LabeledPredictions:
    """A sample of the form that a metric reads."""
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
    [one for one in ALL_METRICS if one.values[0].name not in UNDIRECTED_METRICS],  # type: ignore[union-attr]
)


def test_every_metric_of_every_task_is_among_those_tried() -> None:
    used = {metric for task in catalog.load_plugins("tasks") for metric in task.metrics}
    assert used <= {parameter.values[0] for parameter in ALL_METRICS}


def test_names_stay_as_project_files_have_them() -> None:
    assert " ".join(sorted({parameter.values[0].name for parameter in ALL_METRICS})) == (  # type: ignore[union-attr]
        "accuracy average_precision balanced_accuracy bias brier calibration_error coverage f1 "
        "hamming_loss log_loss macro_f1 macro_mae mae mape mcc micro_f1 open_labels pinball "
        "precision quadratic_kappa r2 recall rmse roc_auc rps set_size subset_accuracy width"
    )


@with_all_metrics
def test_a_weight_counts_as_so_many_rows(metric: Metric, sample: LabeledPredictions) -> None:
    weights = bootstrap_weights(3)
    found = metric.compute(sample.y, sample.predictions, weights)
    assert found.shape == (len(weights),)
    assert found.dtype == np.float64
    if metric.name == "calibration_error":
        return  # its bins are those of the rows as they are
    for times, value in zip(weights, found, strict=True):
        again = sample.select_rows(np.repeat(np.arange(N_ROWS), times.astype(int)))
        alone = metric.compute(again.y, again.predictions, np.ones((1, len(again.y))))
        assert value == pytest.approx(alone[0], rel=1e-5, abs=1e-7)


@with_all_metrics
def test_neither_the_scale_of_the_weights_nor_the_order_of_the_rows_matters(
    metric: Metric, sample: LabeledPredictions
) -> None:
    weights = fractional_weights(1)
    found = metric.compute(sample.y, sample.predictions, weights)
    order = np.random.default_rng(0).permutation(N_ROWS)
    turned = sample.select_rows(order)
    for other in (
        metric.compute(sample.y, sample.predictions, 4 * weights),
        metric.compute(turned.y, turned.predictions, weights[:, order]),
    ):
        assert other == pytest.approx(found, rel=1e-5, abs=1e-7)


@with_all_metrics
def test_one_resample_has_the_same_value_whatever_stands_beside_it(
    metric: Metric, sample: LabeledPredictions
) -> None:
    weights = bootstrap_weights(5)
    concat_predictions = metric.compute(sample.y, sample.predictions, weights)
    alone = [metric.compute(sample.y, sample.predictions, weights[i : i + 1])[0] for i in range(7)]
    assert concat_predictions == pytest.approx(alone, rel=1e-6, abs=1e-9)


@with_all_metrics
def test_a_resample_without_weight_is_nan_without_a_warning(
    metric: Metric, sample: LabeledPredictions
) -> None:
    weights = np.stack([np.ones(N_ROWS), np.zeros(N_ROWS)]).astype(np.float32)
    whole, none = metric.compute(sample.y, sample.predictions, weights)
    assert np.isfinite(whole)
    assert np.isnan(none)


@with_all_metrics
def test_single_precision_outputs_say_nearly_the_same(
    metric: Metric, sample: LabeledPredictions
) -> None:
    said = sample.predictions
    single = type(said)(
        said.outputs.astype(np.float32), said.decisions, said.regions, said.coverage
    )
    weights = bootstrap_weights(2)
    found = metric.compute(sample.y, single, weights)
    assert found == pytest.approx(metric.compute(sample.y, said, weights), rel=1e-4, abs=1e-6)


@with_directed_metrics
def test_the_direction_is_the_one_in_which_perfect_predictions_lie(
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

    def ours() -> None:
        statistics = {m.name: partial(m.values, sample.y, sample.predictions) for m in metrics}
        resample(statistics, BootstrapPlan(len(sample.y), 0, n_resamples=resamples))

    def theirs() -> None:
        weights = np.ones(len(sample.y))
        for score, said in calls:
            score(sample.y, said, sample_weight=weights)

    # Processor time, the best of three: about a tenth is usual.
    assert cpu_seconds(ours) < resamples * cpu_seconds(theirs) / 2


def cpu_seconds(task: Callable[[], None]) -> float:
    """Processor seconds that some work takes at best."""
    found = []
    for _ in range(3):
        start = time.process_time()
        task()
        found.append(time.process_time() - start)
    return min(found)


def test_a_quotient_of_nothing_is_nan_and_no_warning() -> None:
    above, below = np.array([1.0, 0.0, 3.0]), np.array([2.0, 0.0, 4.0])
    assert safe_divide(above, below) == pytest.approx([0.5, np.nan, 0.75], nan_ok=True)


def test_means_leave_out_what_is_not_defined() -> None:
    table = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    assert nanmean_over_first_axis(table) == pytest.approx([2.0, 5.0, np.nan], nan_ok=True)
    assert weighted_mean(
        np.array([1, 2, 6]), np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 3.0]])
    ).tolist() == [
        1.5,
        5.0,
    ]


def test_rows_of_equal_score_are_one_step_of_the_curve() -> None:
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


def test_the_calibration_gap_is_that_of_the_bins_weighed_by_their_rows() -> None:
    confidence = np.repeat([0.2, 0.8], [50, 50])
    right = np.concatenate([np.arange(50) < 10, np.arange(50) < 30])  # 20 % and 60 %
    even, upper = np.ones(100), np.repeat([0.0, 1.0], [50, 50])
    found = expected_calibration_error(confidence, right, np.stack([even, upper]))
    assert found == pytest.approx([0.1, 0.2])


def test_all_rows_of_the_same_confidence_share_a_bin() -> None:
    right = np.arange(40) < 10
    assert expected_calibration_error(np.full(40, 0.25), right, np.ones((1, 40)))[
        0
    ] == pytest.approx(0)


def test_what_is_said_is_taken_apart_and_put_together_row_by_row() -> None:
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
