"""Every metric equals scikit-learn's on repeated rows, and is NaN where it is not defined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fieldcraft.core import catalogue
from fieldcraft.evidence import metrics
from fieldcraft.evidence.metrics import Metric

Array = npt.NDArray[Any]
Score = Callable[[Array, Array], float]

ROWS, RESAMPLES = 60, 12


def by_class(name: str, **options: Any) -> Score:
    """A score of scikit-learn on decided classes."""
    from sklearn import metrics as peer

    return lambda y, outputs: float(getattr(peer, name)(y, outputs.argmax(axis=1), **options))


def by_probability(name: str, **options: Any) -> Score:
    """A score of scikit-learn on the probability of the positive class."""
    from sklearn import metrics as peer

    return lambda y, outputs: float(getattr(peer, name)(y, outputs[:, 1], **options))


def log_loss(y: Array, outputs: Array) -> float:
    """The log loss of scikit-learn."""
    from sklearn import metrics as peer

    return float(peer.log_loss(y, outputs, labels=range(outputs.shape[1])))


def by_value(name: str) -> Score:
    """A score of scikit-learn on predicted values."""
    from sklearn import metrics as peer

    return lambda y, outputs: float(getattr(peer, name)(y, outputs[:, 0]))


BINARY: dict[Metric, Callable[[], Score]] = {
    metrics.BRIER: lambda: by_probability("brier_score_loss"),
    metrics.PRECISION: lambda: by_class("precision_score"),
    metrics.RECALL: lambda: by_class("recall_score"),
    metrics.F1: lambda: by_class("f1_score"),
    metrics.MATTHEWS: lambda: by_class("matthews_corrcoef"),
    metrics.ROC_AUC: lambda: by_probability("roc_auc_score"),
    metrics.AVERAGE_PRECISION: lambda: by_probability("average_precision_score"),
}
CLASSES: dict[Metric, Callable[[], Score]] = {
    metrics.ACCURACY: lambda: by_class("accuracy_score"),
    metrics.BALANCED_ACCURACY: lambda: by_class("balanced_accuracy_score"),
    metrics.MACRO_F1: lambda: by_class("f1_score", average="macro"),
    metrics.LOG_LOSS: lambda: log_loss,
}
VALUES: dict[Metric, Callable[[], Score]] = {
    metrics.MAE: lambda: by_value("mean_absolute_error"),
    metrics.RMSE: lambda: by_value("root_mean_squared_error"),
    metrics.R2: lambda: by_value("r2_score"),
}


def classified(classes: int, tied: bool, seed: int) -> tuple[Array, Array]:
    """Labels and probabilities that know a little; with many equal ones if asked."""
    generator = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), generator.integers(0, classes, ROWS - classes)])
    raw = generator.gamma(1.0, size=(ROWS, classes))
    raw += np.eye(classes)[y] * generator.integers(0, 2, (ROWS, 1))
    raw = np.minimum(raw.round(), 2) + 1 if tied else raw
    return y, (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


def measured(seed: int) -> tuple[Array, Array]:
    """An amount and a prediction of it."""
    generator = np.random.default_rng(seed)
    y = generator.normal(1e6, 3.0, ROWS)
    return y, (y + generator.normal(0, 1, ROWS))[:, None]


def drawn(seed: int) -> Array:
    """Weights of resamples, as the bootstrap draws them; the first is of the rows as they are."""
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(ROWS, np.full(ROWS, 1 / ROWS), size=RESAMPLES)
    return np.concatenate([np.ones((1, ROWS)), weights]).astype(np.float32)


def assert_equal_to_peer(metric: Metric, score: Score, y: Array, outputs: Array) -> None:
    """Each weighted value is the peer's on the rows repeated as often as their weight."""
    weights = drawn(7)
    found = metric.values(y, outputs, weights)
    assert found.shape == (len(weights),)
    times = weights.astype(int)
    expected = [score(np.repeat(y, t), np.repeat(outputs, t, axis=0)) for t in times]
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("metric", [*BINARY, *CLASSES], ids=lambda metric: metric.name)
def test_metrics_of_two_classes_equal_those_of_scikit_learn(metric: Metric, tied: bool) -> None:
    peer = (BINARY | CLASSES)[metric]()
    for seed in range(2):
        assert_equal_to_peer(metric, peer, *classified(2, tied, seed))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("metric", CLASSES, ids=lambda metric: metric.name)
def test_metrics_of_many_classes_equal_those_of_scikit_learn(metric: Metric, tied: bool) -> None:
    for seed in range(2):
        assert_equal_to_peer(metric, CLASSES[metric](), *classified(4, tied, seed))


@pytest.mark.parametrize("metric", VALUES, ids=lambda metric: metric.name)
def test_metrics_of_amounts_equal_those_of_scikit_learn(metric: Metric) -> None:
    for seed in range(2):
        assert_equal_to_peer(metric, VALUES[metric](), *measured(seed))


def test_every_metric_of_every_task_is_compared() -> None:
    used = {metric for task in catalogue.load_all("tasks") for metric in task.metrics}
    assert used <= {*BINARY, *CLASSES, *VALUES}


def test_names_stay_as_project_files_have_them() -> None:
    assert " ".join(sorted(metric.name for metric in (*BINARY, *CLASSES, *VALUES))) == (
        "accuracy average_precision balanced_accuracy brier f1 log_loss macro_f1 mae mcc "
        "precision r2 recall rmse roc_auc"
    )


@pytest.mark.parametrize("metric", [*BINARY, *CLASSES, *VALUES], ids=lambda metric: metric.name)
def test_the_scale_of_the_weights_does_not_matter(metric: Metric) -> None:
    y, outputs = measured(0) if metric in VALUES else classified(2, False, 0)
    weights = drawn(1)
    assert metric.values(y, outputs, 4 * weights) == pytest.approx(
        metric.values(y, outputs, weights), rel=1e-5, nan_ok=True
    )


@pytest.mark.parametrize("metric", [*BINARY, *CLASSES, *VALUES], ids=lambda metric: metric.name)
def test_the_direction_is_the_one_in_which_perfect_predictions_lie(metric: Metric) -> None:
    y, poor = measured(0) if metric in VALUES else classified(2, False, 0)
    perfect = y[:, None] if metric in VALUES else np.eye(2)[y]
    weights = np.ones((1, ROWS))
    gain = metric.values(y, perfect, weights)[0] - metric.values(y, poor, weights)[0]
    assert (gain > 0) is np.bool_(metric.greater_is_better)


# What is not defined on a resample, by the class that all of its rows have.
UNDEFINED: dict[int, list[Metric]] = {
    0: [metrics.ROC_AUC, metrics.AVERAGE_PRECISION, metrics.RECALL, metrics.MATTHEWS],
    1: [metrics.ROC_AUC, metrics.MATTHEWS],
}


@pytest.mark.parametrize("label", UNDEFINED)
def test_a_resample_of_one_class_is_nan_where_two_are_needed(label: int) -> None:
    y, outputs = classified(2, False, 0)
    weights = np.stack([np.ones(ROWS), np.where(y == label, 1.0, 0.0)]).astype(np.float32)
    for metric in (*BINARY, *CLASSES):
        whole, single = metric.values(y, outputs, weights)
        assert np.isfinite(whole), metric.name
        assert np.isnan(single) == (metric in UNDEFINED[label]), metric.name


def test_precision_and_f1_of_nothing_called_and_nothing_there_are_undefined() -> None:
    y, outputs = np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    weights = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    assert np.isnan(metrics.precision(y, outputs, weights)).all()
    assert metrics.f1(y, outputs, weights).tolist() == pytest.approx([np.nan, 0.0], nan_ok=True)


@pytest.mark.parametrize("far", [0.0, 1e6])
def test_no_variance_means_no_r2(far: float) -> None:
    generator = np.random.default_rng(0)
    y = far + generator.normal(size=ROWS)
    same_row = 7 * np.eye(ROWS, dtype=np.float32)
    assert np.isnan(metrics.r2(y, generator.normal(far, 1, (ROWS, 1)), same_row)).all()


def test_probabilities_of_zero_do_not_make_the_log_loss_infinite() -> None:
    loss = metrics.log_loss(np.array([0]), np.array([[0.0, 1.0]]), np.ones((1, 1)))
    assert loss[0] == pytest.approx(-np.log(metrics.SMALLEST))
