"""What every task with classes shares: labels and indexes, calibration, decisions, tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcraft.core.errors import DataError
from fieldcraft.evidence import calibration
from fieldcraft.evidence.metrics import SMALLEST

Array = npt.NDArray[Any]
Json = dict[str, Any]
MOST_TARGET_COLUMNS = 10  # of classes whose target means are taken


class Classes:
    """The part of a task that is the same for two classes and for many."""

    output: Literal["probabilities"] = "probabilities"

    def describe(self, target: pl.Series, positive: str | None) -> Json:
        """The classes in their natural order, the positive one last.

        Raises:
            DataError: fewer than two classes, or a positive class that does not occur.
        """
        found = natural_order(target.drop_nulls().cast(pl.String).unique().to_list())
        if len(found) < 2:
            raise DataError(
                "the target has fewer than two classes, so there is nothing to learn",
                seen=f"column {target.name!r}: {found or 'no value'}",
                way_out="choose another target, or give rows of every class",
            )
        if positive is not None and positive not in found:
            raise DataError(
                f"no row has the positive class {positive!r}",
                seen=f"classes: {', '.join(found[:10])}",
                way_out="set problem.positive to one of them",
            )
        if positive is not None:
            found = [label for label in found if label != positive] + [positive]
        return {"classes": found}

    def encode(self, target: pl.Series, about: Json) -> Array:
        """Class index of each row.

        Raises:
            DataError: a label that is not among the classes.
        """
        classes = about["classes"]
        text = target.cast(pl.String)
        indexes = text.replace_strict(
            pl.Series(classes), pl.Series(range(len(classes))), default=None, return_dtype=pl.Int64
        )
        if indexes.null_count():
            odd = text.filter(indexes.is_null()).unique().to_list()
            raise DataError(
                "some rows have a label that the model does not know",
                seen=f"{', '.join(map(repr, odd[:5]))} in column {target.name!r}",
                way_out=f"use the labels {', '.join(map(repr, classes[:10]))}",
            )
        return indexes.to_numpy()

    def scale(self, y: Array) -> Json:
        """Nothing: class indexes are not scaled."""
        return {}

    def scaled(self, y: Array, scale: Json) -> Array:
        """Class indexes as they are."""
        return y

    def unscaled(self, outputs: Array, scale: Json) -> Array:
        """Probabilities as they are."""
        return outputs

    def columns(self, y: Array, about: Json) -> Array:
        """One column for each class but the first; none where classes are many."""
        classes = len(about["classes"])
        if classes > MOST_TARGET_COLUMNS:
            return np.zeros((len(y), 0))
        return np.asarray(y[:, None] == np.arange(1, classes), dtype=np.float64)

    def width(self, about: Json) -> int:
        """One output for each class."""
        return len(about["classes"])

    def validation_loss(self, outputs: Array, y: Array) -> float:
        """Log loss after the best temperature: how well classes are told apart.

        Berta et al., *Rethinking Early Stopping: Refine, Then Calibrate*, 2025.
        """
        temperature = calibration.fit_temperature(outputs, y, steps=12)
        scaled = calibration.scale(outputs, temperature)
        return float(-np.log(np.clip(scaled[np.arange(len(y)), y], SMALLEST, 1)).mean())

    def calibrate(self, outputs: Array, y: Array) -> Json:
        """The temperature that makes probabilities honest on tune rows."""
        return {"temperature": calibration.fit_temperature(outputs, y)}

    def calibrated(self, outputs: Array, calibrated: Json) -> Array:
        """Probabilities at the fitted temperature."""
        return calibration.scale(outputs, calibrated["temperature"])

    def decide(self, outputs: Array, about: Json) -> pl.DataFrame:
        """The likeliest class as ``prediction``, and ``probability_<class>`` for each."""
        classes = about["classes"]
        chosen = pl.Series(
            "prediction", [classes[i] for i in outputs.argmax(axis=1)], dtype=pl.String
        )
        columns = [
            pl.Series(f"probability_{label}", outputs[:, i].astype(np.float64))
            for i, label in enumerate(classes)
        ]
        return pl.DataFrame([chosen, *columns])


def natural_order(labels: Sequence[str]) -> list[str]:
    """Labels in the order a person expects: numbers by value, words by letter.

    >>> natural_order(["10", "9", "b", "a"])
    ['9', '10', 'a', 'b']
    """

    def key(label: str) -> tuple[int, float, str]:
        try:
            value = float(label)
        except ValueError:
            return (1, 0.0, label)
        # "nan" is a word here: as a number it would have no place in any order.
        return (0, value, label) if math.isfinite(value) else (1, 0.0, label)

    return sorted(labels, key=key)


def confusion(y: Array, outputs: Array, classes: int) -> list[list[int]]:
    """Counts by true class (rows) and decided class (columns)."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (y, outputs.argmax(axis=1)), 1)
    return [[int(count) for count in row] for row in table]


def per_class(table: Sequence[Sequence[int]], classes: Sequence[str]) -> list[Json]:
    """Rows, precision and recall of each class, from a confusion table."""
    counts = np.asarray(table)
    found = []
    for i, label in enumerate(classes):
        rows, called, hit = int(counts[i].sum()), int(counts[:, i].sum()), int(counts[i, i])
        found.append(
            {
                "class": label,
                "rows": rows,
                "precision": hit / called if called else None,
                "recall": hit / rows if rows else None,
            }
        )
    return found


def worst_rows(loss: Array, most: int = 20) -> list[int]:
    """Positions of the rows with the largest loss, worst first."""
    return [int(i) for i in np.argsort(-loss, kind="stable")[:most]]
