"""Metrics of many labels equal scikit-learn's; labels without a figure are left out of means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as peer

from fieldcraft.evidence import label_metrics as own
from fieldcraft.evidence.metrics import SMALLEST, Metric, Said
from tests.evidence.samples import Array, Peer, assert_equals_peer, metrics_of, of_labels


def by_decision(score: Callable[..., float], **options: Any) -> Peer:
    """A score of scikit-learn on decided labels."""
    return lambda y, said, weights: float(
        score(y, said.decisions, sample_weight=weights, **options)
    )


def by_probability(score: Callable[..., float], **options: Any) -> Peer:
    """A score of scikit-learn on the probabilities of all labels."""
    return lambda y, said, weights: float(score(y, said.outputs, sample_weight=weights, **options))


def label_by_label(score: Callable[..., float], **options: Any) -> Peer:
    """The mean over the labels of a score of scikit-learn."""

    def of(y: Array, said: Said, weights: Array) -> float:
        pairs = zip(y.T, said.outputs.T, strict=True)
        return float(
            np.mean([score(true, said, sample_weight=weights, **options) for true, said in pairs])
        )

    return of


PEERS: dict[Metric, Peer] = {
    own.MACRO_ROC_AUC: by_probability(peer.roc_auc_score, average="macro"),
    own.MACRO_AVERAGE_PRECISION: by_probability(peer.average_precision_score, average="macro"),
    own.LOG_LOSS: label_by_label(peer.log_loss, labels=[0, 1]),
    own.BRIER: label_by_label(peer.brier_score_loss),
    own.MICRO_F1: by_decision(peer.f1_score, average="micro"),
    own.MACRO_F1: by_decision(peer.f1_score, average="macro", zero_division=np.nan),
    own.HAMMING_LOSS: by_decision(peer.hamming_loss),
    own.SUBSET_ACCURACY: by_decision(peer.accuracy_score),
}


def test_every_metric_is_compared_here() -> None:
    assert set(metrics_of(own)) == {*PEERS, own.COVERAGE, own.OPEN_LABELS}


@pytest.mark.parametrize("labels", [2, 5])
@pytest.mark.parametrize("metric", PEERS, ids=lambda metric: metric.name)
def test_metrics_of_labels_equal_those_of_scikit_learn(metric: Metric, labels: int) -> None:
    for seed in range(2):
        assert_equals_peer(metric, PEERS[metric], of_labels(labels, seed))


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
SAID = Said(OUTPUTS, (OUTPUTS >= 0.5).astype(int), REGIONS)


def test_regions_are_judged_label_by_label() -> None:
    weights = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    # One label in eight is left out: the first of the third row.
    assert own.coverage(Y, SAID, weights) == pytest.approx([7 / 8, 1 / 2])
    assert own.open_labels(Y, SAID, weights) == pytest.approx([2 / 8, 1 / 2])


def test_a_label_without_a_row_in_a_resample_is_left_out_of_the_means() -> None:
    weights = np.array([[1.0, 1.0, 1.0, 0.0]])  # nobody has the second label, nor is called
    first = Said(OUTPUTS[:, :1], SAID.decisions[:, :1], REGIONS[:, :1])
    for metric in (own.MACRO_ROC_AUC, own.MACRO_AVERAGE_PRECISION, own.MACRO_F1):
        alone = metric.values(Y[:, :1], first, weights)
        assert np.isfinite(alone).all()
        assert metric.values(Y, SAID, weights) == pytest.approx(alone)


def test_means_over_labels_of_which_none_has_a_figure_are_undefined() -> None:
    weights = np.array([[0.0, 1.0, 0.0, 0.0]])  # a row without a label, none called
    for metric in (own.MACRO_ROC_AUC, own.MACRO_AVERAGE_PRECISION, own.MACRO_F1, own.MICRO_F1):
        assert np.isnan(metric.values(Y, SAID, weights)).all()
    assert own.hamming_loss(Y, SAID, weights)[0] == 0


def test_probabilities_of_zero_and_one_do_not_make_the_log_loss_infinite() -> None:
    said = Said(np.array([[0.0, 1.0]]), np.array([[0, 1]]), np.ones((1, 2, 2), bool))
    loss = own.log_loss(np.array([[1, 0]]), said, np.ones((1, 1)))
    assert loss[0] == pytest.approx(-np.log(SMALLEST))


def test_one_label_is_the_binary_case() -> None:
    from fieldcraft.evidence import class_metrics

    sample = of_labels(1)
    y, outputs = sample.y[:, 0], sample.said.outputs
    pair = np.hstack([1 - outputs, outputs])
    binary = Said(pair, sample.said.decisions[:, 0], np.ones_like(pair, dtype=bool))
    even = np.ones((1, len(y)))
    for ours, theirs in (
        (own.MACRO_ROC_AUC, class_metrics.ROC_AUC),
        (own.MACRO_AVERAGE_PRECISION, class_metrics.AVERAGE_PRECISION),
        (own.LOG_LOSS, class_metrics.LOG_LOSS),
        (own.BRIER, class_metrics.BRIER),
        (own.MACRO_F1, class_metrics.F1),
        (own.SUBSET_ACCURACY, class_metrics.ACCURACY),
    ):
        found = ours.values(sample.y, sample.said, even)
        assert found == pytest.approx(theirs.values(y, binary, even))
