"""Rows, or groups of rows, that occur on both sides of the split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.schema import row_digests
from fieldcraft.ledger.records import Finding, Severity

WARNING_FRACTION = 0.01  # of the rows of a part
# Of a missing group: rows without one do not belong together.
MISSING_GROUP_DIGEST = row_digests(pl.DataFrame({"group": pl.Series([None], dtype=pl.String)}))[0]


class TrainTestOverlap:
    """Reports evaluation and test rows that are, or whose group is, in the training rows too."""

    code = "train_test_overlap"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare digests across parts; no cell of another part is read."""
        yield from self._report_rows(context)
        yield from self._report_groups(context)

    def _report_rows(self, context: CheckContext) -> Iterator[Finding]:
        digests = context.row_digests or {}
        train_digests = set(digests.get("train", ()))
        for part, part_digests in digests.items():
            n_shared = sum(digest in train_digests for digest in part_digests)
            if part == "train" or not n_shared:
                continue
            fraction = n_shared / len(part_digests)
            severity: Severity = "warning" if fraction >= WARNING_FRACTION else "info"
            yield Finding(
                self.code,
                severity,
                f"{n_shared:,} of {len(part_digests):,} {part} rows ({fraction:.1%}) are also "
                "training rows",
                None,
                {"part": part, "shared": n_shared, "rows": len(part_digests)},
                "metrics on these rows are too good; remove them from one of the files, or let "
                "Fieldcraft split one file",
            )

    def _report_groups(self, context: CheckContext) -> Iterator[Finding]:
        groups_by_part = {
            name: set(digests) - {MISSING_GROUP_DIGEST}
            for name, digests in (context.group_digests or {}).items()
        }
        train_groups = groups_by_part.pop("train", set())
        n_shared_by_part = {
            name: len(digests & train_groups) for name, digests in groups_by_part.items()
        }
        if not context.group_column or not any(n_shared_by_part.values()):
            return
        part = max(
            n_shared_by_part,
            key=lambda name: n_shared_by_part[name] / max(len(groups_by_part[name]), 1),
        )
        count, n_groups = n_shared_by_part[part], len(groups_by_part[part])
        # Under a split by time, a group may be on both sides: its later rows are to be predicted.
        yield Finding(
            self.code,
            "info" if context.time_column else "warning",
            f"{count:,} of {n_groups:,} values of {context.group_column} in {part} rows "
            f"({count / n_groups:.1%}) are also in training rows",
            context.group_column,
            {
                "shared": n_shared_by_part,
                "groups": {name: len(digests) for name, digests in groups_by_part.items()},
            },
            "keep each group on one side (split.strategy: group), or metrics show only how well "
            "known groups are recognized",
            () if context.time_column else (ConfigEdit(("split", "strategy"), "group"),),
        )


CHECK = TrainTestOverlap()
