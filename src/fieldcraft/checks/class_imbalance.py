"""Classes and labels with few rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.ledger.records import Finding

RARE_FRACTION_OF_EVEN = 0.1  # of the rows that a class would have if all were of equal size
MIN_ROWS_PER_CLASS = 10
N_FOLDS = 5  # of cross-validation; each should hold a row of every class


class ClassImbalance:
    """Reports classes that are too rare to learn, or too rare to affect accuracy."""

    code = "class_imbalance"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report rare classes, and labels that are rare or nearly always set, in training rows."""
        if (
            context.task is None
            or context.y is None
            or context.target_spec is None
            or not len(context.y)
        ):
            return
        if context.task.output == "labels":
            # If nearly every row has a label, the rows without it are the rare class.
            counts = np.minimum(context.y.sum(axis=0), len(context.y) - context.y.sum(axis=0))
            yield from self._report("label", context.targets, counts.astype(int), len(context.y), 2)
        elif context.task.output == "probabilities":
            classes = context.target_spec["classes"]
            counts = np.bincount(context.y, minlength=len(classes))
            yield from self._report("class", classes, counts, len(context.y), len(classes))

    def _report(
        self, noun: str, names: Sequence[str], counts: Array, rows: int, n_classes: int
    ) -> Iterator[Finding]:
        plurals = {"class": "classes", "label": "labels"}[noun]
        evidence = {"counts": {name: int(count) for name, count in zip(names, counts, strict=True)}}
        small_classes = [
            names[i] for i in np.argsort(counts, kind="stable") if counts[i] < MIN_ROWS_PER_CLASS
        ]
        if small_classes:
            n_below_folds = int((counts < N_FOLDS).sum())
            fold_note = (
                f" ({n_below_folds:,} with fewer than {N_FOLDS}, one for each fold)"
                if n_below_folds
                else ""
            )
            yield Finding(
                self.code,
                "warning",
                f"{pluralize(len(small_classes), noun, plurals)} with fewer than "
                f"{MIN_ROWS_PER_CLASS} training rows{fold_note}: "
                f"{truncated_list(small_classes, 5)}",
                None,
                evidence,
                f"collect more rows of them, or merge them with a similar {noun}",
            )
        # Classes below the minimum are reported above already.
        rare_indexes = [
            i
            for i in np.argsort(counts, kind="stable")
            if MIN_ROWS_PER_CLASS <= counts[i] < RARE_FRACTION_OF_EVEN * rows / n_classes
        ]
        if rare_indexes:
            rarest = rare_indexes[0]
            others_note = f", {len(rare_indexes) - 1:,} more are rare" if rare_indexes[1:] else ""
            yield Finding(
                self.code,
                "info",
                f"{noun} {names[rarest]} has {counts[rarest]:,} of {rows:,} training rows "
                f"({counts[rarest] / rows:.1%}){others_note}",
                None,
                evidence,
                "do not rely on accuracy alone; balanced accuracy and recall show rare classes",
            )


CHECK = ClassImbalance()
