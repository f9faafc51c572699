"""What holds for every metric there is, and the pieces that metrics are made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from sklearn import metrics as peer

from fieldcraft.core import catalogue
from fieldcraft.evidence import class_metrics, label_metrics, order_metrics, value_metrics
from fieldcraft.evidence.bootstrap import Draw, resample
from fieldcraft.evidence.metrics import (
    Metric,
    Said,
    area_under_roc,
    calibration_gap,
    mean,
    mean_of_defined,
    mean_precision,
    ranked,
    ratio,
    together,
)
from tests.evidence.samples import (
    ROWS,
    Array,
    Sample,
    counted,
    fractional,
    metrics_of,
    of_amounts,
    of_classes,
    of_labels,
    perfect,
)

BINARY = {"precision", "recall", "f1"} | {
    metric.title
    for metric in (
        class_metrics.BRIER,
        class_metrics.ROC_AUC,
        class_metrics.AVERAGE_PRECISION,
        class_metrics.BINARY_CALIBRATION,
    )
}
# Of these no value is better by itself.
NEUTRAL = {"set_size", "open_labels", "width", "bias", "coverage"}


def sample_for(metric: Metric) -> Sample:
    """A sample of the form that a metric reads."""
    if metric in metrics_of(value_metrics):
        return of_amounts()
    if metric in metrics_of(label_metrics):
        return of_labels()
    return of_classes(2 if metric.name in BINARY or metric.title in BINARY else 4)


ALL = [
    pytest.param(metric, sample_for(metric), id=f"{module.__name__.rsplit('.')[-1]}-{metric.name}")
    for module in (class_metrics, value_metrics, label_metrics, order_metrics)
    for metric in metrics_of(module)
]
of_all = pytest.mark.parametrize(("metric", "sample"), ALL)
of_the_good = pytest.mark.parametrize(
    ("metric", "sample"),
    [one for one in ALL if one.values[0].name not in NEUTRAL],  # type: ignore[union-attr]
)


def test_every_metric_of_every_task_is_among_those_tried() -> None:
    used = {metric for task in catalogue.load_all("tasks") for metric in task.metrics}
    assert used <= {parameter.values[0] for parameter in ALL}


def test_names_stay_as_project_files_have_them() -> None:
    assert " ".join(sorted({parameter.values[0].name for parameter in ALL})) == (  # type: ignore[union-attr]
        "accuracy average_precision balanced_accuracy bias brier calibration_error coverage f1 "
        "hamming_loss log_loss macro_f1 macro_mae mae mape mcc micro_f1 open_labels pinball "
        "precision quadratic_kappa r2 recall rmse roc_auc rps set_size subset_accuracy width"
    )


@of_all
def test_a_weight_counts_as_so_many_rows(metric: Metric, sample: Sample) -> None:
    weights = counted(3)
    found = metric.values(sample.y, sample.said, weights)
    assert found.shape == (len(weights),)
    assert found.dtype == np.float64
    if metric.name == "calibration_error":
        return  # its bins are those of the rows as they are
    for times, value in zip(weights, found, strict=True):
        again = sample.take(np.repeat(np.arange(ROWS), times.astype(int)))
        alone = metric.values(again.y, again.said, np.ones((1, len(again.y))))
        assert value == pytest.approx(alone[0], rel=1e-5, abs=1e-7)


@of_all
def test_neither_the_scale_of_the_weights_nor_the_order_of_the_rows_matters(
    metric: Metric, sample: Sample
) -> None:
    weights = fractional(1)
    found = metric.values(sample.y, sample.said, weights)
    order = np.random.default_rng(0).permutation(ROWS)
    turned = sample.take(order)
    for other in (
        metric.values(sample.y, sample.said, 4 * weights),
        metric.values(turned.y, turned.said, weights[:, order]),
    ):
        assert other == pytest.approx(found, rel=1e-5, abs=1e-7)


@of_all
def test_one_resample_has_the_same_value_whatever_stands_beside_it(
    metric: Metric, sample: Sample
) -> None:
    weights = counted(5)
    together = metric.values(sample.y, sample.said, weights)
    alone = [metric.values(sample.y, sample.said, weights[i : i + 1])[0] for i in range(7)]
    assert together == pytest.approx(alone, rel=1e-6, abs=1e-9)


@of_all
def test_a_resample_without_weight_is_nan_without_a_warning(metric: Metric, sample: Sample) -> None:
    weights = np.stack([np.ones(ROWS), np.zeros(ROWS)]).astype(np.float32)
    whole, none = metric.values(sample.y, sample.said, weights)
    assert np.isfinite(whole)
    assert np.isnan(none)


@of_all
def test_single_precision_outputs_say_nearly_the_same(metric: Metric, sample: Sample) -> None:
    said = sample.said
    single = type(said)(
        said.outputs.astype(np.float32), said.decisions, said.regions, said.coverage
    )
    weights = counted(2)
    found = metric.values(sample.y, single, weights)
    assert found == pytest.approx(metric.values(sample.y, said, weights), rel=1e-4, abs=1e-6)


@of_the_good
def test_the_direction_is_the_one_in_which_perfect_predictions_lie(
    metric: Metric, sample: Sample
) -> None:
    weights = np.ones((1, ROWS))
    best = metric.values(sample.y, perfect(sample), weights)[0]
    gain = best - metric.values(sample.y, sample.said, weights)[0]
    assert (gain > 0) is np.bool_(metric.greater_is_better)
    assert best == pytest.approx(1.0 if metric.greater_is_better else 0.0, abs=1e-9)


def test_a_thousand_resamples_cost_far_less_than_a_thousand_calls() -> None:
    sample, resamples = of_classes(2, rows=20_000), 100
    metrics = catalogue.load("tasks", "binary").metrics
    positive, decided = sample.said.outputs[:, 1], sample.said.decisions
    calls: list[tuple[Callable[..., float], Array]] = [
        (peer.roc_auc_score, positive),
        (peer.average_precision_score, positive),
        (peer.f1_score, decided),
        (peer.matthews_corrcoef, decided),
        (peer.accuracy_score, decided),
    ]

    def ours() -> None:
        statistics = {m.name: partial(m.values, sample.y, sample.said) for m in metrics}
        resample(statistics, Draw(len(sample.y), 0, resamples=resamples))

    def theirs() -> None:
        weights = np.ones(len(sample.y))
        for score, said in calls:
            score(sample.y, said, sample_weight=weights)

    # Processor time, the best of three: about a tenth is usual.
    assert cost(ours) < resamples * cost(theirs) / 2


def cost(work: Callable[[], None]) -> float:
    """Processor seconds that some work takes at best."""
    found = []
    for _ in range(3):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def test_a_quotient_of_nothing_is_nan_and_no_warning() -> None:
    above, below = np.array([1.0, 0.0, 3.0]), np.array([2.0, 0.0, 4.0])
    assert ratio(above, below) == pytest.approx([0.5, np.nan, 0.75], nan_ok=True)


def test_means_leave_out_what_is_not_defined() -> None:
    table = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.nan]])
    assert mean_of_defined(table) == pytest.approx([2.0, 5.0, np.nan], nan_ok=True)
    assert mean(np.array([1, 2, 6]), np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 3.0]])).tolist() == [
        1.5,
        5.0,
    ]


def test_rows_of_equal_score_are_one_step_of_the_curve() -> None:
    positive = np.array([True, False, True, False])
    score = np.array([0.9, 0.5, 0.5, 0.1])
    hits, misses = ranked(positive, score, np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 1.0, 5.0]]))
    assert hits.tolist() == [[1, 2, 2], [2, 3, 3]]
    assert misses.tolist() == [[0, 1, 2], [0, 0, 5]]


def test_areas_by_hand() -> None:
    positive, score = np.array([True, False, True, False]), np.array([0.9, 0.5, 0.5, 0.1])
    even = np.ones((1, 4))
    # Of the four pairs of a positive and a negative three are right and one is a tie.
    assert area_under_roc(positive, score, even)[0] == 3.5 / 4
    # Half of the positives at precision 1, the other half at precision 2/3.
    assert mean_precision(positive, score, even)[0] == pytest.approx(0.5 + 0.5 * 2 / 3)


@pytest.mark.parametrize("kept", [True, False])
def test_areas_of_one_class_are_not_defined(kept: bool) -> None:
    positive, score = np.array([True, False]), np.array([0.3, 0.6])
    weights = (positive == kept).astype(float)[None, :]
    assert np.isnan(area_under_roc(positive, score, weights)[0])
    assert np.isnan(mean_precision(positive, score, weights)[0]) == (not kept)


def test_the_calibration_gap_is_that_of_the_bins_weighed_by_their_rows() -> None:
    confidence = np.repeat([0.2, 0.8], [50, 50])
    right = np.concatenate([np.arange(50) < 10, np.arange(50) < 30])  # 20 % and 60 %
    even, upper = np.ones(100), np.repeat([0.0, 1.0], [50, 50])
    found = calibration_gap(confidence, right, np.stack([even, upper]))
    assert found == pytest.approx([0.1, 0.2])


def test_all_rows_of_the_same_confidence_share_a_bin() -> None:
    right = np.arange(40) < 10
    assert calibration_gap(np.full(40, 0.25), right, np.ones((1, 40)))[0] == pytest.approx(0)


def test_what_is_said_is_taken_apart_and_put_together_row_by_row() -> None:
    sure = np.array([True, False, True])
    whole = Said(np.eye(3), np.arange(3), np.eye(3) > 0, 0.8, sure)
    part = whole.at(np.array([2, 0]))
    assert part.outputs.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert part.decisions.tolist() == [2, 0]
    assert part.regions.tolist() == [[False, False, True], [True, False, False]]
    assert part.coverage == 0.8
    assert part.accepted is not None
    assert part.accepted.tolist() == [True, True]
    again = together([whole.at(np.array([0])), whole.at(np.array([1, 2]))])
    for name in ("outputs", "decisions", "regions", "accepted"):
        assert (getattr(again, name) == getattr(whole, name)).all()
    assert again.coverage == 0.8
    always = Said(np.eye(3), np.arange(3), np.eye(3) > 0)
    assert always.at(sure).accepted is None
    assert together([always, always]).accepted is None
