"""Any number of labels for each row, such as the moods of a song."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Json
from fieldcraft.core.errors import DataError
from fieldcraft.data.look import Guess, Look
from fieldcraft.data.parse import truths
from fieldcraft.evidence import calibration, classes, conformal, label_metrics, thresholds
from fieldcraft.evidence.metrics import SMALLEST, Said


class MultilabelTask:
    """Tell for each of several labels whether it applies, and how likely."""

    name = "multilabel"
    output: Literal["labels"] = "labels"
    metrics = (
        label_metrics.MACRO_ROC_AUC,
        label_metrics.LOG_LOSS,
        label_metrics.MACRO_AVERAGE_PRECISION,
        label_metrics.MICRO_F1,
        label_metrics.MACRO_F1,
        label_metrics.HAMMING_LOSS,
        label_metrics.SUBSET_ACCURACY,
        label_metrics.BRIER,
        label_metrics.COVERAGE,
        label_metrics.OPEN_LABELS,
    )
    baselines = ("constant", "rule", "linear", "lightgbm")

    def recognise(self, looks: Sequence[Look]) -> Guess | None:
        """Several target columns, each of yes and no."""
        if len(looks) < 2 or any(look.distinct != 2 for look in looks):
            return None
        if any(truths(look.counts["value"]).null_count() for look in looks):
            return None
        return Guess(self.name, 0.9, f"{len(looks)} columns of yes and no")

    def describe(self, target: pl.Series, problem: Json) -> Json:
        """The labels.

        Raises:
            DataError: a label that no row or every row has.
        """
        labels = target.struct.fields
        y = self.encode(target.drop_nulls(), {"labels": labels})
        same = [label for label, rows in zip(labels, y.T, strict=True) if len(set(rows)) < 2]
        if same:
            raise DataError(
                "some labels are the same in every row, so there is nothing to learn of them",
                seen=", ".join(same[:8]),
                way_out="leave them out of problem.target, or give rows that differ",
            )
        return {"labels": labels}

    def encode(self, target: pl.Series, about: Json) -> Array:
        """0 or 1 for each label, shape (rows, labels).

        Raises:
            DataError: a cell that is neither yes nor no.
        """
        found = []
        for label in about["labels"]:
            cells = target.struct.field(label)
            yes = truths(cells)
            odd = cells.filter(yes.is_null() & cells.is_not_null())
            if len(odd):
                raise DataError(
                    f"the label {label!r} has cells that are neither yes nor no",
                    seen=", ".join(map(repr, odd.unique().head(5).to_list())),
                    way_out="use 1 and 0, true and false, or yes and no",
                )
            found.append(yes.fill_null(False).cast(pl.Int64).to_numpy())
        return np.stack(found, axis=1)

    def scale(self, y: Array) -> Json:
        """Nothing: labels are not scaled."""
        return {}

    def scaled(self, y: Array, scale: Json) -> Array:
        """Labels as they are."""
        return y

    def unscaled(self, outputs: Array, scale: Json) -> Array:
        """Probabilities as they are."""
        return outputs

    def columns(self, y: Array, about: Json) -> Array:
        """One column for each label; none where they are many."""
        many = y.shape[1] > classes.MOST_TARGET_COLUMNS
        return np.zeros((len(y), 0)) if many else y.astype(np.float64)

    def width(self, about: Json) -> int:
        """One output for each label."""
        return len(about["labels"])

    def loss(self, smoothing: float = 0.0) -> Callable[[Any, Any], Any]:
        """Cross-entropy of each label, for training a network."""
        from fieldcraft.fit.losses import label_cross_entropy

        return partial(label_cross_entropy, smoothing=smoothing)

    def activate(self, raw: Any) -> Any:
        """Raw network outputs to probabilities."""
        return raw.sigmoid()

    def validation_loss(self, outputs: Array, y: Array, weights: Array | None = None) -> float:
        """Log loss over all labels after the best temperature."""
        pairs, truth = as_pairs(outputs), y.reshape(-1)
        each = None if weights is None else weights.repeat(y.shape[1])
        temperature = calibration.fit_temperature(pairs, truth, each, steps=12)
        chosen = calibration.scale(pairs, temperature)[np.arange(len(truth)), truth]
        return float(np.average(-np.log(np.clip(chosen, SMALLEST, 1)), weights=each))

    def calibrate(
        self, outputs: Array, y: Array, about: Json, weights: Array | None = None
    ) -> Json:
        """One temperature for all labels; threshold and limit of each."""
        each = None if weights is None else weights.repeat(y.shape[1])
        temperature = calibration.fit_temperature(as_pairs(outputs), y.reshape(-1), each)
        scaled = self.calibrated(outputs, {"temperature": temperature})
        wanted = about.get("threshold")
        limits = [
            thresholds.best_threshold(y[:, k] == 1, scaled[:, k], wanted, weights)
            if isinstance(wanted, str)
            else wanted or 0.5
            for k in range(y.shape[1])
        ]
        coverage = about.get("coverage", classes.COVERAGE)
        return {
            "temperature": temperature,
            "thresholds": limits,
            "limits": conformal.label_limits(scaled, y, coverage, weights),
        }

    def calibrated(self, outputs: Array, calibrated: Json) -> Array:
        """Probabilities at the fitted temperature."""
        scaled = calibration.scale(as_pairs(outputs), calibrated["temperature"])
        return np.asarray(scaled[:, 1].reshape(outputs.shape))

    def read(self, outputs: Array, about: Json, calibration: Json) -> Said:
        """The labels above their thresholds, and those that may be either way."""
        decided = (outputs >= np.asarray(calibration["thresholds"])).astype(np.int64)
        regions = conformal.label_sets(outputs, calibration["limits"])
        return Said(outputs, decided, regions, about.get("coverage", classes.COVERAGE))

    def decide(self, said: Said, about: Json) -> pl.DataFrame:
        """The labels that apply as ``prediction``, joined by ``|``, and ``probability_<label>``."""
        labels = about["labels"]
        columns = [
            pl.Series(f"probability_{label}", said.outputs[:, k].astype(np.float64))
            for k, label in enumerate(labels)
        ]
        chosen = classes.joined_labels(said.decisions, labels).rename("prediction")
        return pl.DataFrame([chosen, *columns])

    def evidence(self, y: Array, said: Said, about: Json) -> Json:
        """Figures of each label, reliability over all of them, worst rows."""
        pairs = zip(about["labels"], said.decisions.T, y.T, strict=True)
        chosen = np.where(y == 1, said.outputs, 1 - said.outputs)
        return {
            "labels": about["labels"],
            "per_class": [
                classes.per_class(classes.confusion(true, decided, 2), ["", label])[1]
                for label, decided, true in pairs
            ],
            "reliability": calibration.reliability(said.outputs.reshape(-1), y.reshape(-1) == 1),
            "worst": classes.worst_rows(-np.log(np.clip(chosen, SMALLEST, 1)).mean(axis=1)),
        }


def as_pairs(outputs: Array) -> Array:
    """Probabilities of no and yes for each label of each row, shape (rows x labels, 2)."""
    yes = outputs.reshape(-1)
    return np.stack([1 - yes, yes], axis=1)


TASK = MultilabelTask()
