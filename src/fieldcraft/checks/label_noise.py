"""Labels that may be wrong: rows that contradict a champion which has not learned from them.

Rows are found by confident learning (Northcutt, Jiang & Chuang, *Confident Learning: Estimating
Uncertainty in Dataset Labels*, JAIR 2021) with cleanlab, the least likely label first.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import format_number, join_names, pluralize
from fieldcraft.core.types import Array, Json
from fieldcraft.ledger.records import Finding, single_column
from fieldcraft.statistics.label_noise import LabelNoiseEstimate, estimate_label_noise

MIN_ROWS = 200  # rows
MAX_CLASSES = 1_000
MAX_LISTED_ROWS = 20
MAX_LISTED_CLASSES = 30  # classes whose share of wrong labels is kept, the largest first


@dataclass(frozen=True)
class LabelIssues:
    """A target with labels that may be wrong.

    Attributes:
        target: name of the column.
        classes: as people call them.
        estimate: how many labels are wrong, and whether that is sure.
        rows: positions of the rows whose label is doubted, the least likely label first.
        y: labels as given.
        outputs: what the champion says.
    """

    target: str
    classes: tuple[str, ...]
    estimate: LabelNoiseEstimate
    rows: Array
    y: Array
    outputs: Array

    def class_noise(self) -> list[Json]:
        """Of each class the share of its labels that contradicts the champion, largest first."""
        counts = np.bincount(self.y, minlength=len(self.classes))
        class_rows = [
            {"target": self.target, "class": name, "rows": int(count), "share": float(fraction)}
            for name, count, fraction in zip(
                self.classes, counts, self.estimate.by_class, strict=True
            )
            if count
        ]
        return sorted(class_rows, key=lambda item: -float(item["share"]))

    def rows_to_review(self, context: CheckContext) -> list[Json]:
        """The rows that are worth a second look, with the label that the champion suggests."""
        return [
            {
                "at": int(row_index),
                "line": int(context.row_numbers[int(row_index)]),
                "target": self.target,
                "given": self.classes[self.y[row_index]],
                "suggested": self.classes[int(self.outputs[row_index].argmax())],
                "confidence": float(self.outputs[row_index, self.y[row_index]]),
            }
            for row_index in self.rows[:MAX_LISTED_ROWS]
        ]


class LabelNoise:
    """Reports rows whose label contradicts what the champion is sure of, and how many there are."""

    code = "label_noise"
    scope: CheckScope = "model"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the labels of judge rows with what the champion says about them."""
        if context.predictions is None or context.y is None or len(context.y) < MIN_ROWS:
            return
        label_issues = [issues for issues in iter_label_issues(context) if len(issues.rows)]
        for is_significant in (True, False):
            matching_issues = [
                issues
                for issues in label_issues
                if issues.estimate.is_significant is is_significant
            ]
            if matching_issues:
                yield self._build_finding(matching_issues, context, is_significant)
                return  # the sure ones are enough to begin with

    def _build_finding(
        self, label_issues: list[LabelIssues], context: CheckContext, is_significant: bool
    ) -> Finding:
        noisiest = max(label_issues, key=lambda doubt: doubt.estimate.noise_rate.value)
        names = join_names([issues.target for issues in label_issues][:5])
        rows = sorted(
            (row for issues in label_issues for row in issues.rows_to_review(context)),
            key=lambda r: r["confidence"],
        )[:MAX_LISTED_ROWS]
        class_noise = [fraction for issues in label_issues for fraction in issues.class_noise()]
        fraction = noisiest.estimate.noise_rate
        interval_text = f"{fraction.value:.1%} ({fraction.low:.1%} to {fraction.high:.1%})"
        title = (
            f"about {interval_text} of the labels of {names} look wrong: so many contradict the champion "
            "where it is surest, and hardly fewer than where it is less sure"
            if is_significant
            else f"some labels of {names} are worth a second look: {interval_text} contradict the champion "
            "where it is surest; classes that overlap may explain that as well"
        )
        return Finding(
            self.code,
            "warn" if is_significant else "tip",
            title,
            single_column(issues.target for issues in label_issues),
            {
                "share": fraction.value,
                "low": fraction.low,
                "high": fraction.high,
                "rise": noisiest.estimate.disagreement_ratio,
                "agreement": noisiest.estimate.kappa,
                "judged": len(noisiest.y),
                "doubted": sum(len(issues.rows) for issues in label_issues),
                "classes": sorted(class_noise, key=lambda s: -s["share"])[:MAX_LISTED_CLASSES],
                "rows": rows,
            },
            f"look at the {pluralize(len(rows), 'row')} that the report lists, the least likely "
            f"label first (the first at {format_number(rows[0]['confidence'])}), with whoever gave the "
            "labels; right what is wrong, there and in test rows, and run again",
        )


def iter_label_issues(context: CheckContext) -> Iterator[LabelIssues]:
    """Every target of which some labels contradict the champion, with these rows."""
    for target, classes, y, outputs in iter_class_targets(context):
        if len(classes) > MAX_CLASSES:
            continue
        estimate = estimate_label_noise(outputs, y)
        if estimate.is_possible:
            yield LabelIssues(
                target, classes, estimate, find_label_issue_rows(y, outputs), y, outputs
            )


def iter_class_targets(
    context: CheckContext,
) -> Iterator[tuple[str, tuple[str, ...], Array, Array]]:
    """The targets that are classes, with their classes, labels and probabilities."""
    if (
        context.task is None
        or context.predictions is None
        or context.y is None
        or context.target_spec is None
    ):
        return
    outputs = context.predictions.outputs
    if context.task.output == "probabilities":
        yield context.targets[0], tuple(context.target_spec["classes"]), context.y, outputs
    elif context.task.output == "labels":
        for label_index, name in enumerate(context.target_spec["labels"]):
            two_class_outputs = np.stack(
                [1 - outputs[:, label_index], outputs[:, label_index]], axis=1
            )
            yield (
                name,
                (f"not {name}", name),
                context.y[:, label_index].astype(np.int64),
                two_class_outputs,
            )


def find_label_issue_rows(y: Array, outputs: Array) -> Array:
    """Positions of the rows that confident learning doubts, the least likely label first."""
    from cleanlab.filter import find_label_issues

    outputs = outputs.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes without a row
        return np.asarray(
            find_label_issues(
                y,
                outputs / outputs.sum(axis=1, keepdims=True),
                filter_by="low_normalized_margin",
                return_indices_ranked_by="self_confidence",
                n_jobs=1,
            ),
            dtype=np.int64,
        )


CHECK = LabelNoise()
