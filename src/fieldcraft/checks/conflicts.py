"""Rows that are alike in every feature but have different targets."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.data.table import row_digests
from fieldcraft.evidence.records import Finding, Severity

MANY = 0.01
TOO_MANY = 0.05  # to leave out unseen


class Conflicts:
    """Reports training rows that no model can get right: same features, different target."""

    code = "conflicts"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Report conflicting duplicates among the training rows of a classification."""
        if view.task is None or view.y is None or view.task.output == "value" or not len(view.y):
            return
        features = [column.name for column in view.schema.columns]
        digests = np.array(row_digests(view.values, features))
        _, groups = np.unique(digests, return_inverse=True)
        y = np.unique(view.y, axis=0, return_inverse=True)[1].reshape(len(view.y))
        order = np.lexsort((y, groups))
        same = groups[order][1:] == groups[order][:-1]
        differ = same & (y[order][1:] != y[order][:-1])
        torn = np.isin(groups, groups[order][1:][differ])
        if not torn.any():
            return
        share = float(torn.mean())
        severity: Severity = "warn" if share >= MANY else "tip"
        lines = [view.rows[i] for i in np.flatnonzero(torn)[:6]]
        drop = (Edit(("clean", "conflicting"), "drop"),)
        yield Finding(
            self.code,
            severity,
            f"{int(torn.sum()):,} training rows ({share:.1%}) have twins with a different target",
            None,
            {"rows": int(torn.sum()), "lines": lines},
            "labels may be wrong or a column may be missing that tells them apart",
            drop if MANY <= share < TOO_MANY else (),
        )


CHECK = Conflicts()
