"""Rows with equal features but different targets."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.schema import row_digests
from fieldcraft.ledger.records import Finding, Severity

WARNING_FRACTION = 0.01  # of the rows
MAX_DROPPED_FRACTION = 0.05  # with more rows no fix is offered: a person must look at them


class ConflictingLabels:
    """Reports training rows that no model can get right: same features, different target."""

    code = "conflicting_labels"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report conflicting duplicates among the training rows of a classification task."""
        if (
            context.task is None
            or context.y is None
            or context.task.output == "value"
            or not len(context.y)
        ):
            return
        features = [column.name for column in context.schema.columns]
        digests = np.array(row_digests(context.values, features))
        _, duplicate_groups = np.unique(digests, return_inverse=True)
        label_codes = np.unique(context.y, axis=0, return_inverse=True)[1].reshape(len(context.y))
        # Sorted by group, then label: a group conflicts if two neighbors in it differ in label.
        order = np.lexsort((label_codes, duplicate_groups))
        is_same_features = duplicate_groups[order][1:] == duplicate_groups[order][:-1]
        is_conflict = is_same_features & (label_codes[order][1:] != label_codes[order][:-1])
        is_conflicting_row = np.isin(duplicate_groups, duplicate_groups[order][1:][is_conflict])
        if not is_conflicting_row.any():
            return
        fraction = float(is_conflicting_row.mean())
        severity: Severity = "warning" if fraction >= WARNING_FRACTION else "info"
        row_numbers = [context.row_numbers[i] for i in np.flatnonzero(is_conflicting_row)[:6]]
        fixes = (ConfigEdit(("clean", "conflicting_rows"), "drop"),)
        yield Finding(
            self.code,
            severity,
            f"{int(is_conflicting_row.sum()):,} training rows ({fraction:.1%}) have duplicates "
            "with a different target",
            None,
            {"rows": int(is_conflicting_row.sum()), "line_numbers": row_numbers},
            "labels may be wrong, or a column that distinguishes these rows may be missing",
            fixes if WARNING_FRACTION <= fraction < MAX_DROPPED_FRACTION else (),
        )


CHECK = ConflictingLabels()
