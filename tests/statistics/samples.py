"""Small samples of every type of target, with the predictions of a mediocre model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fieldcraft.statistics.metrics import Metric, Predictions

Array = npt.NDArray[Any]
ReferenceMetric = Callable[[Array, Predictions, Array], float]  # weights have shape (rows,)

N_ROWS = 60


@dataclass(frozen=True)
class LabeledPredictions:
    """The true target of some rows, and predictions for them."""

    y: Array
    predictions: Predictions

    def select_rows(self, rows: Array) -> LabeledPredictions:
        """Some of the rows; an index may repeat."""
        arrays = {name: getattr(self.predictions, name)[rows] for name in ("outputs", "decisions")}
        regions = self.predictions.regions[rows]
        return LabeledPredictions(
            self.y[rows], replace(self.predictions, **arrays, regions=regions)
        )


def classification_sample(
    n_classes: int, seed: int = 0, has_ties: bool = False, n_rows: int = N_ROWS
) -> LabeledPredictions:
    """Weakly informative probabilities, with many ties if asked."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(n_classes), rng.integers(0, n_classes, n_rows - n_classes)])
    unnormalized = rng.gamma(1.0, size=(n_rows, n_classes))
    unnormalized += np.eye(n_classes)[y] * rng.integers(0, 2, (n_rows, 1))
    unnormalized = np.minimum(unnormalized.round(), 2) + 1 if has_ties else unnormalized
    outputs = unnormalized / unnormalized.sum(axis=1, keepdims=True)
    return LabeledPredictions(y, Predictions(outputs, outputs.argmax(axis=1), outputs >= 0.3))


def multilabel_sample(n_labels: int = 3, seed: int = 0, n_rows: int = N_ROWS) -> LabeledPredictions:
    """A weakly informative probability of each label."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, (n_rows, n_labels))
    outputs = np.clip(0.25 + 0.5 * y + rng.normal(0, 0.3, y.shape), 0.01, 0.99)
    regions = np.stack([outputs < 0.7, outputs > 0.3], axis=2)
    return LabeledPredictions(y, Predictions(outputs, (outputs >= 0.5).astype(int), regions))


def regression_sample(seed: int = 0, n_rows: int = N_ROWS) -> LabeledPredictions:
    """A number far from zero, its prediction, and an interval around that."""
    rng = np.random.default_rng(seed)
    y = rng.normal(1e6, 3.0, n_rows)
    predicted = y + rng.normal(0, 1, n_rows)
    half_widths = rng.gamma(2.0, 0.5, n_rows)
    regions = np.stack([predicted - half_widths, predicted + half_widths], axis=1)
    return LabeledPredictions(y, Predictions(predicted[:, None], predicted, regions))


def perfect_predictions(sample: LabeledPredictions) -> Predictions:
    """Predictions that are always correct and certain."""
    y, predictions = sample.y, sample.predictions
    if y.ndim == 2:
        return Predictions(y.astype(float), y, np.stack([y == 0, y == 1], axis=2))
    if predictions.outputs.shape[1] == 1:
        return Predictions(y[:, None], y, np.stack([y, y], axis=1))
    one_hot = np.eye(predictions.outputs.shape[1])[y]
    return Predictions(one_hot, y, one_hot == 1)


def bootstrap_weights(seed: int, n_rows: int = N_ROWS, n_resamples: int = 6) -> Array:
    """Weights as the bootstrap draws them; the first are all 1."""
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n_rows, np.full(n_rows, 1 / n_rows), size=n_resamples)
    return np.concatenate([np.ones((1, n_rows)), weights]).astype(np.float32)


def fractional_weights(seed: int, n_rows: int = N_ROWS, n_resamples: int = 4) -> Array:
    """Weights that are not integers, as sample weights are."""
    return np.random.default_rng(seed).gamma(2.0, size=(n_resamples, n_rows)).astype(np.float32)


def assert_equals_reference(
    metric: Metric, reference: ReferenceMetric, sample: LabeledPredictions
) -> None:
    """Values equal those of a reference with weights, and with repeated rows."""
    integer_weights, real_weights = (
        bootstrap_weights(7, len(sample.y)),
        fractional_weights(8, len(sample.y)),
    )
    values = metric.compute(
        sample.y, sample.predictions, np.vstack([integer_weights, real_weights])
    )
    expected = [
        reference(sample.y, sample.predictions, weights)
        for weights in np.vstack([integer_weights, real_weights])
    ]
    assert values == pytest.approx(expected, rel=2e-5, abs=1e-7)
    for weights, value in zip(integer_weights, values, strict=False):
        repeated = sample.select_rows(np.repeat(np.arange(len(sample.y)), weights.astype(int)))
        assert value == pytest.approx(
            reference(repeated.y, repeated.predictions, np.ones(len(repeated.y))),
            rel=2e-5,
            abs=1e-7,
        )


def find_metrics(module: ModuleType) -> list[Metric]:
    """The metrics of a module."""
    return [value for value in vars(module).values() if isinstance(value, Metric)]
