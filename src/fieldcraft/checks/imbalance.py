"""Classes and labels with few rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import listed, plural
from fieldcraft.evidence.records import Finding

RARE = 0.1  # of what an even share would be
FEW = 10
FOLDS = 5  # of which each should hold a row of every class


class Imbalance:
    """Reports classes so rare that accuracy hides them, or that cannot be learned at all."""

    code = "imbalance"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Report rare classes, or labels that are rare or nearly everywhere, in training rows."""
        if view.task is None or view.y is None or view.about is None or not len(view.y):
            return
        if view.task.output == "labels":
            # Of a label that nearly every row has, the rows without it are what is rare.
            counts = np.minimum(view.y.sum(axis=0), len(view.y) - view.y.sum(axis=0))
            yield from self._findings("label", view.targets, counts.astype(int), len(view.y), 2)
        elif view.task.output == "probabilities":
            classes = view.about["classes"]
            counts = np.bincount(view.y, minlength=len(classes))
            yield from self._findings("class", classes, counts, len(view.y), len(classes))

    def _findings(
        self, noun: str, names: Sequence[str], counts: Array, rows: int, shares: int
    ) -> Iterator[Finding]:
        nouns = {"class": "classes", "label": "labels"}[noun]
        evidence = {"counts": {name: int(n) for name, n in zip(names, counts, strict=True)}}
        few = [names[i] for i in np.argsort(counts, kind="stable") if counts[i] < FEW]
        if few:
            short = int((counts < FOLDS).sum())
            folds = f", {short:,} with fewer than one in each of {FOLDS} folds" if short else ""
            yield Finding(
                self.code,
                "warn",
                f"{plural(len(few), noun, nouns)} with fewer than {FEW} training rows{folds}: "
                f"{listed(few, 5)}",
                None,
                evidence,
                f"collect more rows of them, or join them with a {noun} that means the same",
            )
        rare = [
            i for i in np.argsort(counts, kind="stable") if FEW <= counts[i] < RARE * rows / shares
        ]
        if rare:
            first = rare[0]
            others = f", {len(rare) - 1:,} more are rare" if rare[1:] else ""
            yield Finding(
                self.code,
                "tip",
                f"{noun} {names[first]} has {counts[first]:,} of {rows:,} training rows "
                f"({counts[first] / rows:.1%}){others}",
                None,
                evidence,
                "do not judge by accuracy alone; balanced accuracy and recall show what is rare",
            )


CHECK = Imbalance()
