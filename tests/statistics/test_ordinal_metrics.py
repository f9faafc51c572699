"""Ordinal metrics: larger errors count more."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as peer

from fieldcraft.statistics import classification_metrics
from fieldcraft.statistics import ordinal_metrics as own
from fieldcraft.statistics.metrics import Metric, Predictions
from tests.statistics.samples import (
    Array,
    ReferenceMetric,
    assert_equals_reference,
    classification_sample,
    find_metrics,
)


def reference_quadratic_kappa(y: Array, predictions: Predictions, weights: Array) -> float:
    """The weighted kappa of scikit-learn."""
    labels = range(predictions.outputs.shape[1])
    return float(
        peer.cohen_kappa_score(
            y, predictions.decisions, labels=labels, weights="quadratic", sample_weight=weights
        )
    )


def reference_mae(y: Array, predictions: Predictions, weights: Array) -> float:
    """The mean absolute error of scikit-learn."""
    return float(peer.mean_absolute_error(y, predictions.decisions, sample_weight=weights))


def reference_macro_mae(y: Array, predictions: Predictions, weights: Array) -> float:
    """The mean absolute error of each class, averaged."""
    groups = [np.flatnonzero((y == k) & (weights > 0)) for k in np.unique(y)]
    return float(
        np.mean(
            [reference_mae(y[g], select_rows(predictions, g), weights[g]) for g in groups if len(g)]
        )
    )


def select_rows(predictions: Predictions, rows: Array) -> Predictions:
    """The predictions for some rows."""
    return Predictions(
        predictions.outputs[rows], predictions.decisions[rows], predictions.regions[rows]
    )


def reference_rps(y: Array, predictions: Predictions, weights: Array) -> float:
    """The Brier score of every cumulative probability, averaged."""
    cuts = range(predictions.outputs.shape[1] - 1)
    return float(
        np.mean(
            [
                peer.brier_score_loss(
                    y <= cut,
                    np.minimum(predictions.outputs[:, : cut + 1].sum(axis=1), 1.0),
                    sample_weight=weights,
                    pos_label=True,
                )
                for cut in cuts
            ]
        )
    )


REFERENCES: dict[Metric, ReferenceMetric] = {
    own.QUADRATIC_KAPPA: reference_quadratic_kappa,
    own.ORDINAL_MAE: reference_mae,
    own.MACRO_ORDINAL_MAE: reference_macro_mae,
    own.RANKED_PROBABILITY_SCORE: reference_rps,
}


def test_every_metric_is_compared_here() -> None:
    assert set(find_metrics(own)) == set(REFERENCES)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("metric", REFERENCES, ids=lambda metric: metric.name)
def test_metrics_of_order_equal_those_of_scikit_learn(metric: Metric, tied: bool) -> None:
    for classes in (3, 5):
        assert_equals_reference(
            metric, REFERENCES[metric], classification_sample(classes, classes, tied)
        )


def certain_predictions(decisions: list[int], n_classes: int = 4) -> Predictions:
    """Predictions with a probability of 1 for the decision."""
    outputs = np.eye(n_classes)[decisions]
    return Predictions(outputs, np.array(decisions), outputs == 1)


@pytest.mark.parametrize("metric", REFERENCES, ids=lambda metric: metric.name)
def test_a_larger_error_is_worse(metric: Metric) -> None:
    y, even = np.array([0, 1, 2, 3]), np.ones((1, 4))
    near, far = (metric.compute(y, certain_predictions([d, 1, 2, 3]), even)[0] for d in (1, 3))
    assert (near > far) is np.bool_(metric.greater_is_better)
    accuracy = classification_metrics.accuracy(y, certain_predictions([3, 1, 2, 3]), even)
    assert accuracy == classification_metrics.accuracy(y, certain_predictions([1, 1, 2, 3]), even)


def test_values_by_hand() -> None:
    y, even = np.array([0, 0, 0, 3]), np.ones((1, 4))
    predictions = certain_predictions([0, 0, 1, 1])
    assert own.ordinal_mae(y, predictions, even)[0] == 3 / 4
    assert own.macro_ordinal_mae(y, predictions, even)[0] == (1 / 3 + 2) / 2
    # One cut of three is missed by one row, two by another.
    assert own.ranked_probability_score(y, predictions, even)[0] == pytest.approx(3 / (3 * 4))


def test_the_kappa_of_a_constant_model_is_zero_or_undefined() -> None:
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    kappas = own.quadratic_kappa(np.array([0, 1, 2]), certain_predictions([0, 0, 0]), weights)
    assert kappas == pytest.approx([0.0, np.nan], nan_ok=True)


def test_classes_that_are_only_predicted_do_not_count_in_the_mean() -> None:
    y, even = np.array([0, 0, 1, 1]), np.ones((1, 4))
    predictions = certain_predictions([0, 2, 1, 3])
    assert own.macro_ordinal_mae(y, predictions, even)[0] == (2 / 2 + 2 / 2) / 2
    assert own.ordinal_mae(y, predictions, np.array([[1.0, 3.0, 0.0, 0.0]]))[0] == 6 / 4


def test_a_class_without_weight_is_left_out_of_the_mean_over_classes() -> None:
    y, predictions = np.array([0, 1, 2]), certain_predictions([1, 1, 0])
    assert own.macro_ordinal_mae(y, predictions, np.array([[1.0, 1.0, 0.0]]))[0] == 1 / 2


def test_with_two_classes_the_ranked_score_is_the_brier_score() -> None:
    sample = classification_sample(2)
    even = np.ones((1, len(sample.y)))
    scores = own.ranked_probability_score(sample.y, sample.predictions, even)
    assert scores == pytest.approx(
        classification_metrics.binary_brier_score(sample.y, sample.predictions, even)
    )
