"""Metrics of many labels equal scikit-learn's; labels without a figure are left out of means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as peer

from fieldcraft.statistics import multilabel_metrics as own
from fieldcraft.statistics.metrics import MIN_PROBABILITY, Metric, Predictions
from tests.statistics.samples import (
    Array,
    ReferenceMetric,
    assert_equals_reference,
    find_metrics,
    multilabel_sample,
)


def by_decision(score: Callable[..., float], **options: Any) -> ReferenceMetric:
    """A score of scikit-learn on decided labels."""
    return lambda y, predictions, weights: float(
        score(y, predictions.decisions, sample_weight=weights, **options)
    )


def by_probability(score: Callable[..., float], **options: Any) -> ReferenceMetric:
    """A score of scikit-learn on the probabilities of all labels."""
    return lambda y, predictions, weights: float(
        score(y, predictions.outputs, sample_weight=weights, **options)
    )


def mean_of_labels(score: Callable[..., float], **options: Any) -> ReferenceMetric:
    """The mean over the labels of a score of scikit-learn."""

    def of(y: Array, predictions: Predictions, weights: Array) -> float:
        pairs = zip(y.T, predictions.outputs.T, strict=True)
        return float(
            np.mean(
                [
                    score(true, predictions, sample_weight=weights, **options)
                    for true, predictions in pairs
                ]
            )
        )

    return of


REFERENCES: dict[Metric, ReferenceMetric] = {
    own.MACRO_ROC_AUC: by_probability(peer.roc_auc_score, average="macro"),
    own.MACRO_AVERAGE_PRECISION: by_probability(peer.average_precision_score, average="macro"),
    own.LOG_LOSS: mean_of_labels(peer.log_loss, labels=[0, 1]),
    own.BRIER: mean_of_labels(peer.brier_score_loss),
    own.MICRO_F1: by_decision(peer.f1_score, average="micro"),
    own.MACRO_F1: by_decision(peer.f1_score, average="macro", zero_division=np.nan),
    own.HAMMING_LOSS: by_decision(peer.hamming_loss),
    own.SUBSET_ACCURACY: by_decision(peer.accuracy_score),
}


def test_every_metric_is_compared_here() -> None:
    assert set(find_metrics(own)) == {*REFERENCES, own.COVERAGE, own.MEAN_UNDECIDED_LABELS}


@pytest.mark.parametrize("labels", [2, 5])
@pytest.mark.parametrize("metric", REFERENCES, ids=lambda metric: metric.name)
def test_metrics_of_labels_equal_those_of_scikit_learn(metric: Metric, labels: int) -> None:
    for seed in range(2):
        assert_equals_reference(metric, REFERENCES[metric], multilabel_sample(labels, seed))


Y = np.array([[1, 0], [0, 0], [1, 0], [0, 1]])
OUTPUTS = np.array([[0.9, 0.2], [0.3, 0.1], [0.6, 0.3], [0.4, 0.8]])
REGIONS = np.array(
    [  # whether each label may be absent, and present
        [[False, True], [True, False]],
        [[True, True], [True, False]],
        [[True, False], [True, True]],
        [[True, False], [False, True]],
    ]
)
PREDICTIONS = Predictions(OUTPUTS, (OUTPUTS >= 0.5).astype(int), REGIONS)


def test_regions_are_evaluated_by_label() -> None:
    weights = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    # One label in eight is left out: the first of the third row.
    assert own.label_coverage(Y, PREDICTIONS, weights) == pytest.approx([7 / 8, 1 / 2])
    assert own.mean_undecided_labels(Y, PREDICTIONS, weights) == pytest.approx([2 / 8, 1 / 2])


def test_a_label_without_a_row_in_a_resample_is_left_out_of_the_means() -> None:
    weights = np.array(
        [[1.0, 1.0, 1.0, 0.0]]
    )  # no row has or is predicted to have the second label
    first = Predictions(OUTPUTS[:, :1], PREDICTIONS.decisions[:, :1], REGIONS[:, :1])
    for metric in (own.MACRO_ROC_AUC, own.MACRO_AVERAGE_PRECISION, own.MACRO_F1):
        alone = metric.compute(Y[:, :1], first, weights)
        assert np.isfinite(alone).all()
        assert metric.compute(Y, PREDICTIONS, weights) == pytest.approx(alone)


def test_means_over_labels_of_which_none_has_a_figure_are_undefined() -> None:
    weights = np.array([[0.0, 1.0, 0.0, 0.0]])  # a row without a label, none called
    for metric in (own.MACRO_ROC_AUC, own.MACRO_AVERAGE_PRECISION, own.MACRO_F1, own.MICRO_F1):
        assert np.isnan(metric.compute(Y, PREDICTIONS, weights)).all()
    assert own.hamming_loss(Y, PREDICTIONS, weights)[0] == 0


def test_probabilities_of_zero_and_one_do_not_make_the_log_loss_infinite() -> None:
    predictions = Predictions(np.array([[0.0, 1.0]]), np.array([[0, 1]]), np.ones((1, 2, 2), bool))
    loss = own.log_loss(np.array([[1, 0]]), predictions, np.ones((1, 1)))
    assert loss[0] == pytest.approx(-np.log(MIN_PROBABILITY))


def test_one_label_is_the_binary_case() -> None:
    from fieldcraft.statistics import classification_metrics

    sample = multilabel_sample(1)
    y, outputs = sample.y[:, 0], sample.predictions.outputs
    pair = np.hstack([1 - outputs, outputs])
    binary = Predictions(pair, sample.predictions.decisions[:, 0], np.ones_like(pair, dtype=bool))
    even = np.ones((1, len(y)))
    for metric, binary_metric in (
        (own.MACRO_ROC_AUC, classification_metrics.ROC_AUC),
        (own.MACRO_AVERAGE_PRECISION, classification_metrics.AVERAGE_PRECISION),
        (own.LOG_LOSS, classification_metrics.LOG_LOSS),
        (own.BRIER, classification_metrics.BRIER),
        (own.MACRO_F1, classification_metrics.F1),
        (own.SUBSET_ACCURACY, classification_metrics.ACCURACY),
    ):
        values = metric.compute(sample.y, sample.predictions, even)
        assert values == pytest.approx(binary_metric.compute(y, binary, even))
