"""Small samples of every form of target, with what a middling model says about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fieldcraft.evidence.metrics import Metric, Said

Array = npt.NDArray[Any]
Peer = Callable[[Array, Said, Array], float]  # with a weight of each row

ROWS = 60


@dataclass(frozen=True)
class Sample:
    """The truth about some rows, and what a model says about them."""

    y: Array
    said: Said

    def take(self, rows: Array) -> Sample:
        """Some of the rows, some perhaps more than once."""
        parts = {name: getattr(self.said, name)[rows] for name in ("outputs", "decisions")}
        regions = self.said.regions[rows]
        return Sample(self.y[rows], replace(self.said, **parts, regions=regions))


def of_classes(classes: int, seed: int = 0, tied: bool = False, rows: int = ROWS) -> Sample:
    """Probabilities that know a little, with many equal ones if asked."""
    draw = np.random.default_rng(seed)
    y = np.concatenate([np.arange(classes), draw.integers(0, classes, rows - classes)])
    raw = draw.gamma(1.0, size=(rows, classes))
    raw += np.eye(classes)[y] * draw.integers(0, 2, (rows, 1))
    raw = np.minimum(raw.round(), 2) + 1 if tied else raw
    outputs = raw / raw.sum(axis=1, keepdims=True)
    return Sample(y, Said(outputs, outputs.argmax(axis=1), outputs >= 0.3))


def of_labels(labels: int = 3, seed: int = 0, rows: int = ROWS) -> Sample:
    """A probability of each label that knows a little."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 2, (rows, labels))
    outputs = np.clip(0.25 + 0.5 * y + draw.normal(0, 0.3, y.shape), 0.01, 0.99)
    regions = np.stack([outputs < 0.7, outputs > 0.3], axis=2)
    return Sample(y, Said(outputs, (outputs >= 0.5).astype(int), regions))


def of_amounts(seed: int = 0, rows: int = ROWS) -> Sample:
    """An amount far from zero, a prediction of it and an interval around that."""
    draw = np.random.default_rng(seed)
    y = draw.normal(1e6, 3.0, rows)
    values = y + draw.normal(0, 1, rows)
    half = draw.gamma(2.0, 0.5, rows)
    regions = np.stack([values - half, values + half], axis=1)
    return Sample(y, Said(values[:, None], values, regions))


def perfect(sample: Sample) -> Said:
    """What a model says that is always right and always sure."""
    y, said = sample.y, sample.said
    if y.ndim == 2:
        return Said(y.astype(float), y, np.stack([y == 0, y == 1], axis=2))
    if said.outputs.shape[1] == 1:
        return Said(y[:, None], y, np.stack([y, y], axis=1))
    truth = np.eye(said.outputs.shape[1])[y]
    return Said(truth, y, truth == 1)


def counted(seed: int, rows: int = ROWS, resamples: int = 6) -> Array:
    """Weights as the bootstrap draws them; the first are those of the rows as they are."""
    draw = np.random.default_rng(seed)
    weights = draw.multinomial(rows, np.full(rows, 1 / rows), size=resamples)
    return np.concatenate([np.ones((1, rows)), weights]).astype(np.float32)


def fractional(seed: int, rows: int = ROWS, resamples: int = 4) -> Array:
    """Weights that are no counts, as where the project file weighs rows."""
    return np.random.default_rng(seed).gamma(2.0, size=(resamples, rows)).astype(np.float32)


def assert_equals_peer(metric: Metric, peer: Peer, sample: Sample) -> None:
    """Every weighted value is the peer's, by its own weights and by rows repeated as often."""
    whole, parts = counted(7, len(sample.y)), fractional(8, len(sample.y))
    found = metric.values(sample.y, sample.said, np.vstack([whole, parts]))
    weighted = [peer(sample.y, sample.said, weights) for weights in np.vstack([whole, parts])]
    assert found == pytest.approx(weighted, rel=2e-5, abs=1e-7)
    for weights, value in zip(whole, found, strict=False):
        again = sample.take(np.repeat(np.arange(len(sample.y)), weights.astype(int)))
        assert value == pytest.approx(
            peer(again.y, again.said, np.ones(len(again.y))), rel=2e-5, abs=1e-7
        )


def metrics_of(module: ModuleType) -> list[Metric]:
    """The metrics that a module offers."""
    return [value for value in vars(module).values() if isinstance(value, Metric)]
