"""Labels that may be wrong: they contradict a champion that was not trained on these rows.

The rows are found by confident learning (Northcutt, Jiang & Chuang, *Confident Learning: Estimating
Uncertainty in Dataset Labels*, JAIR 2021) as implemented by cleanlab, the least likely label first.
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

MIN_ROWS = 200  # with fewer, the interval of the noise rate is too wide to be useful
MAX_CLASSES = 1_000
MAX_LISTED_ROWS = 20
MAX_LISTED_CLASSES = 30  # with the highest noise rates


@dataclass(frozen=True)
class LabelIssues:
    """A target with labels that may be wrong.

    Attributes:
        target: name of the column.
        classes: names of the classes.
        estimate: the noise rate, and whether it is significant.
        rows: positions of the rows with a label issue, the least likely label first.
        y: given labels.
        outputs: probabilities of the champion, shape (rows, classes).
    """

    target: str
    classes: tuple[str, ...]
    estimate: LabelNoiseEstimate
    rows: Array
    y: Array
    outputs: Array

    def class_noise(self) -> list[Json]:
        """The fraction of labels of each class that contradicts the champion, highest first."""
        counts = np.bincount(self.y, minlength=len(self.classes))
        class_summaries = [
            {"target": self.target, "class": name, "rows": int(count), "fraction": float(fraction)}
            for name, count, fraction in zip(
                self.classes, counts, self.estimate.by_class, strict=True
            )
            if count
        ]
        return sorted(class_summaries, key=lambda summary: -float(summary["fraction"]))

    def rows_to_review(self, context: CheckContext) -> list[Json]:
        """The rows to review, with the label that the champion suggests."""
        return [
            {
                "index": int(row_index),
                "line": int(context.row_numbers[int(row_index)]),
                "target": self.target,
                "given": self.classes[self.y[row_index]],
                "suggested": self.classes[int(self.outputs[row_index].argmax())],
                "confidence": float(self.outputs[row_index, self.y[row_index]]),
            }
            for row_index in self.rows[:MAX_LISTED_ROWS]
        ]


class LabelNoise:
    """Reports rows whose label contradicts a confident champion, and an estimate of how many."""

    code = "label_noise"
    scope: CheckScope = "model"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the labels of the evaluation rows with the predictions of the champion."""
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
                return  # the others can wait until the significant ones are fixed

    def _build_finding(
        self, label_issues: list[LabelIssues], context: CheckContext, is_significant: bool
    ) -> Finding:
        noisiest = max(label_issues, key=lambda issues: issues.estimate.noise_rate.value)
        names = join_names([issues.target for issues in label_issues][:5])
        rows = sorted(
            (row for issues in label_issues for row in issues.rows_to_review(context)),
            key=lambda row: row["confidence"],
        )[:MAX_LISTED_ROWS]
        class_summaries = [summary for issues in label_issues for summary in issues.class_noise()]
        noise_rate = noisiest.estimate.noise_rate
        interval_text = f"{noise_rate.value:.1%} ({noise_rate.low:.1%} to {noise_rate.high:.1%})"
        title = (
            f"about {interval_text} of the labels of {names} look wrong: that many contradict the "
            "champion where it is most confident, nearly as many as where it is less confident"
            if is_significant
            else f"some labels of {names} are possibly wrong: {interval_text} contradict the "
            "champion where it is most confident; overlapping classes may also explain that"
        )
        return Finding(
            self.code,
            "warning" if is_significant else "info",
            title,
            single_column(issues.target for issues in label_issues),
            {
                "fraction": noise_rate.value,
                "low": noise_rate.low,
                "high": noise_rate.high,
                "disagreement_ratio": noisiest.estimate.disagreement_ratio,
                "kappa": noisiest.estimate.kappa,
                "n_rows": len(noisiest.y),
                "n_suspect": sum(len(issues.rows) for issues in label_issues),
                "classes": sorted(class_summaries, key=lambda summary: -summary["fraction"])[
                    :MAX_LISTED_CLASSES
                ],
                "rows": rows,
            },
            f"review the {pluralize(len(rows), 'row')} that the report lists with whoever labeled "
            "them, the least likely label first (probability "
            f"{format_number(rows[0]['confidence'])}); correct wrong labels, in test rows too, and "
            "run again",
        )


def iter_label_issues(context: CheckContext) -> Iterator[LabelIssues]:
    """Every target with labels that contradict the champion, with the rows."""
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
    """The classification targets, with their classes, labels and probabilities.

    A label of a multilabel task is a target with two classes.
    """
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
    """Positions of rows with a label issue by confident learning, the least likely label first."""
    from cleanlab.filter import find_label_issues

    # cleanlab refuses rows that do not add up to 1, which 32-bit floats miss by their rounding.
    outputs = outputs.astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cleanlab warns of classes without a row
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
