"""One of several classes that stand in an order, such as grades."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fieldcraft.contracts import Array, Json
from fieldcraft.core.errors import DataError
from fieldcraft.data.look import Guess, Look
from fieldcraft.evidence import calibration, class_metrics, classes, order_metrics
from fieldcraft.evidence.metrics import SMALLEST, Said


class OrdinalTask(classes.Classes):
    """Tell which step of a scale a row is on; a near miss is better than a far one."""

    name = "ordinal"
    metrics = (
        order_metrics.RANKED_PROBABILITY,
        order_metrics.QUADRATIC_KAPPA,
        order_metrics.MEAN_STEPS,
        order_metrics.MACRO_STEPS,
        class_metrics.ACCURACY,
        class_metrics.BALANCED_ACCURACY,
        class_metrics.LOG_LOSS,
        class_metrics.CALIBRATION_ERROR,
        class_metrics.COVERAGE,
        class_metrics.SET_SIZE,
    )
    baselines = ("constant", "rule", "linear", "lightgbm")

    def recognise(self, looks: Sequence[Look]) -> Guess | None:
        """Never by itself: whether an order matters cannot be seen."""
        return None

    def in_order(self, labels: Sequence[str], problem: Json) -> list[str]:
        """The classes from lowest to highest: as the file says, else by their numbers.

        Raises:
            DataError: words without an order in the file, or an order that lacks a class.
        """
        order = list(problem.get("order") or [])
        lacking = sorted(set(labels) - set(order))
        if order and not lacking:
            return [label for label in order if label in set(labels)]
        if order or not all(is_number(label) for label in labels):
            raise DataError(
                "the order of the classes is not known",
                seen=f"classes without a place: {', '.join((lacking or sorted(labels))[:8])}",
                way_out="set problem.order to the classes, from lowest to highest",
            )
        return classes.natural_order(labels)

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Cross-entropy of "at most this step", for training a network."""
        from fieldcraft.fit.losses import ordered_cross_entropy

        return partial(ordered_cross_entropy, smoothing=smoothing)

    def activate(self, raw: Any) -> Any:
        """Raw network outputs to probabilities."""
        return raw.softmax(-1)

    def columns(self, y: Array, about: Json) -> Array:
        """The step itself, as one column."""
        return y[:, None].astype(np.float64)

    def validation_loss(self, outputs: Array, y: Array, weights: Array | None = None) -> float:
        """Log loss of "at most this step", over all steps, after the best temperature."""
        temperature = calibration.fit_temperature(outputs, y, weights, steps=12)
        scaled = calibration.scale(outputs, temperature)
        below = np.cumsum(scaled, axis=1)[:, :-1]
        truth = np.arange(below.shape[1]) >= y[:, None]
        right = np.clip(np.where(truth, below, 1 - below), SMALLEST, 1)
        return float(np.average(-np.log(right).mean(axis=1), weights=weights))

    def read(self, outputs: Array, about: Json, calibration: Json) -> Said:
        """The middle of the predicted steps (the median), or the cheapest class."""
        said = super().read(outputs, about, calibration)
        if about.get("costs"):
            return said
        median = (np.cumsum(outputs, axis=1) < 0.5).sum(axis=1)
        decided = np.minimum(median, outputs.shape[1] - 1)
        return replace(said, decisions=decided)


def is_number(text: str) -> bool:
    """Whether a label is a number."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


TASK = OrdinalTask()
