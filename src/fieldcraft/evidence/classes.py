"""What every task with classes shares: labels and indexes, calibration, decisions, tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from fieldcraft.core.errors import DataError, near
from fieldcraft.evidence import calibration, conformal, thresholds
from fieldcraft.evidence.metrics import SMALLEST, Said

Array = npt.NDArray[Any]
Json = dict[str, Any]
REJECTED = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # shares of rows left to a person
COVERAGE = 0.9  # of predicted sets, unless the project file says otherwise
MOST_TARGET_COLUMNS = 200  # of classes that encoders may ask about one by one


class Classes:
    """The part of a task that is the same for two classes, for many, and for ordered ones."""

    output: Literal["probabilities"] = "probabilities"

    def describe(self, target: pl.Series, problem: Json) -> Json:
        """The classes in their order, the positive one last.

        Raises:
            DataError: fewer than two classes, or a class in the project file that has no row.
        """
        labels = set(target.drop_nulls().cast(pl.String).unique().to_list())
        labels = {label for label in labels if label.removesuffix(".") not in labels - {label}}
        if len(labels) < 2:
            raise DataError(
                "the target has fewer than two classes, so there is nothing to learn",
                seen=f"column {target.name!r}: {', '.join(labels) or 'no value'}",
                way_out="choose another target, or give rows of every class",
            )
        found = self.in_order(sorted(labels), problem)
        cost_table(problem.get("costs") or {}, found)  # says early what is wrong with it
        return {"classes": found}

    def in_order(self, labels: Sequence[str], problem: Json) -> list[str]:
        """The classes in their natural order, the positive one last.

        Raises:
            DataError: no row has the positive class.
        """
        positive = problem.get("positive")
        if positive is None:
            return natural_order(labels)
        must_be_class("problem.positive", [positive], labels)
        return [label for label in natural_order(labels) if label != positive] + [positive]

    def encode(self, target: pl.Series, about: Json) -> Array:
        """Class index of each row; a full stop after a label does not make another label of it.

        Raises:
            DataError: a label that is not among the classes.
        """
        classes = about["classes"]
        text = target.cast(pl.String)
        bare = text.str.strip_suffix(".")
        text = bare.zip_with(~text.is_in(classes) & bare.is_in(classes), text)
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

    def validation_loss(self, outputs: Array, y: Array, weights: Array | None = None) -> float:
        """Log loss after the best temperature: how well classes are told apart.

        Berta et al., *Rethinking Early Stopping: Refine, Then Calibrate*, 2025.
        """
        temperature = calibration.fit_temperature(outputs, y, weights, steps=12)
        scaled = calibration.scale(outputs, temperature)
        losses = -np.log(np.clip(scaled[np.arange(len(y)), y], SMALLEST, 1))
        return float(np.average(losses, weights=weights))

    def calibrate(
        self, outputs: Array, y: Array, about: Json, weights: Array | None = None
    ) -> Json:
        """The temperature that makes probabilities honest, and the limit for predicted sets."""
        temperature = calibration.fit_temperature(outputs, y, weights)
        scaled = calibration.scale(outputs, temperature)
        limit = conformal.class_limit(scaled, y, about.get("coverage", COVERAGE), weights)
        found: Json = {"temperature": temperature, "limit": limit}
        if about.get("reject"):
            sure = scaled.max(axis=1)
            found["surest"] = max(-conformal.quantile(-sure, 1 - about["reject"], weights), 0.0)
        return found

    def calibrated(self, outputs: Array, calibrated: Json) -> Array:
        """Probabilities at the fitted temperature."""
        return calibration.scale(outputs, calibrated["temperature"])

    def read(self, outputs: Array, about: Json, calibration: Json) -> Said:
        """The likeliest class of each row, or that of least cost, and the set around it."""
        costs = cost_table(about.get("costs") or {}, about["classes"])
        decided = thresholds.by_costs(outputs, np.asarray(costs)) if costs else outputs.argmax(1)
        regions = conformal.class_sets(outputs, calibration["limit"])
        surest = calibration.get("surest")
        accepted = None if surest is None else outputs.max(1) >= surest - conformal.SLACK
        return Said(outputs, decided, regions, about.get("coverage", COVERAGE), accepted)

    def decide(self, said: Said, about: Json) -> pl.DataFrame:
        """The decided class as ``prediction``, ``probability_<class>`` and ``prediction_set``.

        Where the project file lets some rows be rejected, ``accepted`` says of which the model is
        sure enough.
        """
        classes = about["classes"]
        names = pl.Series("prediction", classes, dtype=pl.String)
        columns = [
            pl.Series(f"probability_{label}", said.outputs[:, i].astype(np.float64))
            for i, label in enumerate(classes)
        ]
        sets = joined_labels(said.regions, classes).rename("prediction_set")
        sure = [] if said.accepted is None else [pl.Series("accepted", said.accepted)]
        return pl.DataFrame([names[said.decisions], *columns, sets, *sure])

    def evidence(self, y: Array, said: Said, about: Json) -> Json:
        """Confusion table, per class figures, reliability of the likeliest class, worst rows."""
        likeliest = said.outputs.argmax(axis=1)
        confidence = said.outputs.max(axis=1)
        return {
            **tables(y, said, about),
            "reliability": calibration.reliability(confidence, likeliest == y),
            "worst": worst_rows(-said.outputs[np.arange(len(y)), y]),
            "rejection": rejection(y, said),
        }


def tables(y: Array, said: Said, about: Json) -> Json:
    """Classes, confusion table, and per class figures."""
    table = confusion(y, said.decisions, len(about["classes"]))
    return {
        "classes": about["classes"],
        "confusion": table,
        "per_class": per_class(table, about["classes"]),
    }


def rejection(y: Array, said: Said) -> list[Json]:
    """How often decisions are right once the least sure ones are left to a person.

    The reject option (Chow, *On Optimum Recognition Error and Reject Tradeoff*, 1970).
    """
    order = np.argsort(-said.outputs.max(axis=1), kind="stable")
    right = (said.decisions == y)[order]
    found = []
    for share in REJECTED:
        kept = right[: max(round(len(right) * (1 - share)), 1)]
        found.append({"rejected": share, "right": float(kept.mean())})
    return found


def joined_labels(chosen: Array, labels: Sequence[str]) -> pl.Series:
    """The labels that are chosen in each row, joined by ``|``; chosen is (rows, labels)."""
    words: dict[bytes, str] = {}
    keys = [row.tobytes() for row in np.packbits(chosen.astype(bool), axis=1)]
    for key, row in zip(keys, chosen, strict=True):
        if key not in words:
            words[key] = "|".join(compress(labels, row))
    return pl.Series([words[key] for key in keys], dtype=pl.String)


def cost_table(
    costs: Mapping[str, Mapping[str, float]], classes: Sequence[str]
) -> list[list[float]] | None:
    """What each mistake costs as a table (true class, decided class); 1 where nothing is said.

    Raises:
        DataError: a class that has no row, or a cost below 0.
    """
    if not costs:
        return None
    must_be_class("problem.costs", [*costs, *(b for row in costs.values() for b in row)], classes)
    negative = [value for row in costs.values() for value in row.values() if value < 0]
    if negative:
        raise DataError(
            "a cost is below 0",
            seen=f"problem.costs: {negative[0]:g}",
            way_out="give what each mistake costs more than a right decision",
        )
    return [
        [float(costs.get(true, {}).get(said, float(true != said))) for said in classes]
        for true in classes
    ]


def must_be_class(where: str, labels: Sequence[str], classes: Sequence[str]) -> None:
    """Make sure that labels in the project file are classes of the target.

    Raises:
        DataError: one of them is not.
    """
    odd = [label for label in labels if label not in classes]
    if odd:
        raise DataError(
            f"no row has the class {odd[0]!r} that {where} names",
            seen=f"classes: {', '.join(classes[:10])}",
            way_out=f"set {where} to classes of the target: {near(odd[0], classes)}",
        )


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


def confusion(y: Array, decided: Array, classes: int) -> list[list[int]]:
    """Counts by true class (rows) and decided class (columns)."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (y, decided), 1)
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
