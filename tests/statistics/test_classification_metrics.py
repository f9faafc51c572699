"""Classification metrics equal scikit-learn's, and are NaN where they are not defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as peer

from fieldcraft.statistics import classification_metrics as own
from fieldcraft.statistics.calibration import reliability_curve
from fieldcraft.statistics.metrics import MIN_PROBABILITY, Metric, Predictions
from tests.statistics.samples import (
    N_ROWS,
    Array,
    ReferenceMetric,
    assert_equals_reference,
    classification_sample,
    find_metrics,
)


def by_decision(score: Callable[..., float], **options: Any) -> ReferenceMetric:
    """A metric of scikit-learn on predicted classes."""
    return lambda y, predictions, weights: float(
        score(y, predictions.decisions, sample_weight=weights, **options)
    )


def by_probability(score: Callable[..., float], **options: Any) -> ReferenceMetric:
    """A metric of scikit-learn on the probability of the positive class."""
    return lambda y, predictions, weights: float(
        score(y, predictions.outputs[:, 1], sample_weight=weights, **options)
    )


def by_probabilities(score: Callable[..., float], **options: Any) -> ReferenceMetric:
    """A metric of scikit-learn on the probabilities of all classes."""
    return lambda y, predictions, weights: float(
        score(
            y,
            predictions.outputs,
            sample_weight=weights,
            labels=range(predictions.outputs.shape[1]),
            **options,
        )
    )


BINARY_REFERENCES: dict[Metric, ReferenceMetric] = {
    own.BRIER: by_probability(peer.brier_score_loss),
    own.PRECISION: by_decision(peer.precision_score),
    own.RECALL: by_decision(peer.recall_score),
    own.F1: by_decision(peer.f1_score),
    own.ROC_AUC: by_probability(peer.roc_auc_score),
    own.AVERAGE_PRECISION: by_probability(peer.average_precision_score),
}
ANY_CLASSES_REFERENCES: dict[Metric, ReferenceMetric] = {
    own.ACCURACY: by_decision(peer.accuracy_score),
    own.BALANCED_ACCURACY: by_decision(peer.balanced_accuracy_score),
    own.MACRO_F1: by_decision(peer.f1_score, average="macro"),
    own.MATTHEWS_CORRCOEF: by_decision(peer.matthews_corrcoef),
    own.LOG_LOSS: by_probabilities(peer.log_loss),
    own.MULTICLASS_BRIER: by_probabilities(peer.brier_score_loss, scale_by_half=False),
}
MULTICLASS_REFERENCES: dict[Metric, ReferenceMetric] = {
    own.ROC_AUC_OVR: by_probabilities(peer.roc_auc_score, multi_class="ovr", average="macro"),
}
TESTED_BY_HAND = {
    own.BINARY_CALIBRATION_ERROR,
    own.TOP_LABEL_CALIBRATION_ERROR,
    own.COVERAGE,
    own.MEAN_SET_SIZE,
}


def metric_id(metric: Metric) -> str:
    """The name of a metric, as a test id."""
    return metric.title


def test_every_metric_is_compared_here() -> None:
    assert (
        set(find_metrics(own))
        == {*BINARY_REFERENCES, *ANY_CLASSES_REFERENCES, *MULTICLASS_REFERENCES} | TESTED_BY_HAND
    )


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("metric", [*BINARY_REFERENCES, *ANY_CLASSES_REFERENCES], ids=metric_id)
def test_metrics_of_two_classes_equal_those_of_scikit_learn(metric: Metric, tied: bool) -> None:
    for seed in range(2):
        assert_equals_reference(
            metric,
            (BINARY_REFERENCES | ANY_CLASSES_REFERENCES)[metric],
            classification_sample(2, seed, tied),
        )


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("metric", [*ANY_CLASSES_REFERENCES, *MULTICLASS_REFERENCES], ids=metric_id)
def test_metrics_of_many_classes_equal_those_of_scikit_learn(metric: Metric, tied: bool) -> None:
    for seed in range(2):
        assert_equals_reference(
            metric,
            (ANY_CLASSES_REFERENCES | MULTICLASS_REFERENCES)[metric],
            classification_sample(4, seed, tied),
        )


def reference_calibration_error(confidence: Array, is_event: Array) -> float:
    """The mean gap of a reliability curve, weighted by rows."""
    curve = reliability_curve(confidence, is_event)
    gaps = [abs(point["predicted"] - point["observed"]) * point["rows"] for point in curve]
    return float(sum(gaps) / len(is_event))


def test_calibration_errors_equal_those_of_the_reliability_curve() -> None:
    even = np.ones((1, N_ROWS))
    for sample in (classification_sample(2, 3), classification_sample(2, 3, has_ties=True)):
        positive, y = sample.predictions.outputs[:, 1], sample.y
        expected = reference_calibration_error(positive, y == 1)
        errors = own.binary_calibration_error(y, sample.predictions, even)
        assert errors[0] == pytest.approx(expected)
    sample = classification_sample(4, 3)
    outputs = sample.predictions.outputs
    expected = reference_calibration_error(outputs.max(axis=1), outputs.argmax(axis=1) == sample.y)
    errors = own.top_label_calibration_error(sample.y, sample.predictions, even)
    assert errors[0] == pytest.approx(expected)


def test_coverage_and_mean_size_of_sets() -> None:
    y = np.array([0, 2, 1])
    regions = np.array([[True, False, False], [True, True, False], [True, True, True]])
    predictions = Predictions(np.full((3, 3), 1 / 3), y, regions)
    weights = np.array([[1.0, 1.0, 1.0], [0.0, 1.0, 3.0]])
    assert own.set_coverage(y, predictions, weights) == pytest.approx([2 / 3, 3 / 4])
    assert own.mean_set_size(y, predictions, weights) == pytest.approx([2.0, 11 / 4])


def test_values_by_hand() -> None:
    y, decided = np.array([1, 1, 1, 0, 0]), np.array([1, 0, 1, 1, 0])
    predictions = Predictions(np.eye(2)[decided], decided, np.eye(2)[decided] == 1)
    even = np.ones((1, 5))
    metrics = {
        m.name: m.compute(y, predictions, even)[0]
        for m in (own.PRECISION, own.RECALL, own.ACCURACY)
    }
    assert metrics == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "accuracy": 3 / 5})
    assert own.balanced_accuracy(y, predictions, even)[0] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert own.matthews_corrcoef(y, predictions, even)[0] == pytest.approx(1 / 6)


# What is not defined on a resample, by the class that all of its rows have.
UNDEFINED_BY_CLASS: dict[int, list[Metric]] = {
    0: [own.ROC_AUC, own.ROC_AUC_OVR, own.AVERAGE_PRECISION, own.RECALL, own.MATTHEWS_CORRCOEF],
    1: [own.ROC_AUC, own.ROC_AUC_OVR, own.MATTHEWS_CORRCOEF],
}


@pytest.mark.parametrize("label", UNDEFINED_BY_CLASS)
def test_a_resample_with_one_class_is_nan_where_two_are_needed(label: int) -> None:
    sample = classification_sample(2)
    weights = np.stack([np.ones(N_ROWS), np.where(sample.y == label, 1.0, 0.0)]).astype(np.float32)
    for metric in find_metrics(own):
        whole, single = metric.compute(sample.y, sample.predictions, weights)
        assert np.isfinite(whole), metric.name
        assert np.isnan(single) == (metric in UNDEFINED_BY_CLASS[label]), metric.name


def test_a_class_without_weight_is_left_out_of_means_over_classes() -> None:
    sample = classification_sample(3)
    there = sample.select_rows(np.flatnonzero(sample.y != 2))
    weights = np.where(sample.y != 2, 1.0, 0.0)[None, :]
    even = np.ones((1, len(there.y)))
    for metric in (own.BALANCED_ACCURACY, own.ROC_AUC_OVR):
        alone = metric.compute(there.y, there.predictions, even)
        assert metric.compute(sample.y, sample.predictions, weights) == pytest.approx(alone)


@pytest.mark.parametrize(
    ("y", "decided", "expected"),
    [
        ([0, 0, 1, 1], [0, 0, 0, 0], (2 / 3 + 0) / 2),  # a class that is never called
        ([0, 0, 0, 1], [0, 2, 0, 1], (4 / 5 + 1 + 0) / 3),  # and one that is never there
        ([0, 0, 1, 1], [0, 1, 1, 1], (2 / 3 + 4 / 5) / 2),  # one that is neither does not count
    ],
)
def test_only_actual_or_predicted_classes_count(
    y: list[int], decided: list[int], expected: float
) -> None:
    truth, predictions = (
        np.array(y),
        Predictions(np.eye(4)[decided], np.array(decided), np.eye(4)[decided] > 0),
    )
    even = np.ones((1, 4))
    assert own.macro_f1(truth, predictions, even)[0] == pytest.approx(expected)
    assert own.macro_f1(truth, predictions, even)[0] == peer.f1_score(
        truth, decided, average="macro"
    )
    if len(set(decided)) > 1:
        expected_mcc = peer.matthews_corrcoef(truth, decided)
        assert own.matthews_corrcoef(truth, predictions, even)[0] == pytest.approx(expected_mcc)
    recalls = [np.mean(np.array(decided)[truth == k] == k) for k in (0, 1)]
    assert own.balanced_accuracy(truth, predictions, even)[0] == pytest.approx(np.mean(recalls))


def test_classes_without_weight_are_left_out_of_macro_f1() -> None:
    y, decided = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0])
    predictions = Predictions(np.eye(3)[decided], decided, np.eye(3)[decided] > 0)
    weights = np.array([[1.0, 2.0, 3.0, 0.0], [1.0, 0.0, 0.0, 5.0]])
    first = peer.f1_score(y[:3], decided[:3], average="macro", sample_weight=weights[0, :3])
    # In the second the middle class is neither there nor called: (2 / 7 + 0) / 2.
    assert own.macro_f1(y, predictions, weights) == pytest.approx([first, 1 / 7])


def test_calibration_errors_are_weighted() -> None:
    y = np.array([0] * 6 + [1] * 4 + [2] * 10)
    outputs = np.repeat([[0.7, 0.2, 0.1], [0.1, 0.05, 0.85]], 10, axis=0)
    predictions = Predictions(outputs, np.full(20, 1), outputs > 0.1)  # costs may decide otherwise
    weights = np.stack([np.ones(20), np.repeat([3.0, 0.5], 10), np.where(y == 1, 2.0, 1.0)])
    # The likeliest class: 0.7 where 0.6 come true, 0.85 where all do.
    gaps = [0.5 * 0.1 + 0.5 * 0.15, (3 * 0.1 + 0.5 * 0.15) / 3.5, (14 * (0.7 - 6 / 14) + 1.5) / 24]
    assert own.top_label_calibration_error(y, predictions, weights) == pytest.approx(gaps)
    # The second class: 0.2 where 0.4 come true, 0.05 where none do.
    gaps = [0.5 * 0.2 + 0.5 * 0.05, (3 * 0.2 + 0.5 * 0.05) / 3.5, (14 * (8 / 14 - 0.2) + 0.5) / 24]
    assert own.binary_calibration_error(y, predictions, weights) == pytest.approx(gaps)


def test_precision_and_f1_without_positives_are_undefined() -> None:
    y, decided = np.array([0, 0, 1]), np.zeros(3, dtype=int)
    predictions = Predictions(
        np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]), decided, np.ones((3, 2), bool)
    )
    weights: Array = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert np.isnan(own.precision(y, predictions, weights)).all()
    assert own.f1_score(y, predictions, weights).tolist() == pytest.approx(
        [np.nan, 0.0], nan_ok=True
    )


def test_metrics_of_decisions_use_the_decisions_and_not_the_most_probable_class() -> None:
    y = np.array([1, 1, 0, 0])
    outputs = np.array([[0.7, 0.3], [0.6, 0.4], [0.9, 0.1], [0.8, 0.2]])  # right above 0.25
    predictions = Predictions(outputs, (outputs[:, 1] > 0.25).astype(int), outputs > 0.5)
    for metric in (
        own.ACCURACY,
        own.BALANCED_ACCURACY,
        own.F1,
        own.MACRO_F1,
        own.MATTHEWS_CORRCOEF,
    ):
        assert metric.compute(y, predictions, np.ones((1, 4)))[0] == 1.0


def test_probabilities_of_zero_do_not_make_the_log_loss_infinite() -> None:
    predictions = Predictions(np.array([[0.0, 1.0]]), np.array([1]), np.ones((1, 2), bool))
    loss = own.log_loss(np.array([0]), predictions, np.ones((1, 1)))
    assert loss[0] == pytest.approx(-np.log(MIN_PROBABILITY))
