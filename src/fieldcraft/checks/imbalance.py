"""Classes with few rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fieldcraft.contracts import Sight, View
from fieldcraft.evidence.records import Finding

RARE = 0.1  # of what an even share would be
FEW = 10


class Imbalance:
    """Reports classes so rare that accuracy hides them, or that cannot be learned at all."""

    code = "imbalance"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Report rare classes among the training rows."""
        if view.task is None or view.y is None or view.about is None:
            return
        if view.task.output == "value":
            return
        classes = view.about["classes"]
        counts = np.bincount(view.y, minlength=len(classes))
        rows = len(view.y)
        few = [classes[i] for i in np.flatnonzero(counts < FEW)]
        if few:
            shown = ", ".join(few[:5]) + (", ..." if len(few) > 5 else "")
            yield Finding(
                self.code,
                "warn",
                f"{len(few)} class{'es' * (len(few) > 1)} with fewer than {FEW} training rows: "
                f"{shown}",
                None,
                {"counts": {label: int(n) for label, n in zip(classes, counts, strict=True)}},
                "collect more rows of them, or join them with a class that means the same",
            )
        rarest = int(counts.argmin())
        if rows and counts[rarest] < RARE * rows / len(classes) and not few:
            yield Finding(
                self.code,
                "tip",
                f"class {classes[rarest]} has {counts[rarest]:,} of {rows:,} training rows "
                f"({counts[rarest] / rows:.1%})",
                None,
                {"counts": {label: int(n) for label, n in zip(classes, counts, strict=True)}},
                "do not judge by accuracy alone; balanced accuracy and recall show rare classes",
            )


CHECK = Imbalance()
