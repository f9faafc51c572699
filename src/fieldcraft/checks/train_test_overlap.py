"""The same row, or rows of the same entity, on both sides of the split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.config_edit import ConfigEdit
from fieldcraft.data.schema import row_digests
from fieldcraft.ledger.records import Finding, Severity

WARNING_FRACTION = 0.01
MISSING_ENTITY_DIGEST = row_digests(pl.DataFrame({"entity": pl.Series([None], dtype=pl.String)}))[0]


class TrainTestOverlap:
    """Reports rows of judge and test that stand, or whose entity stands, in the training rows."""

    code = "overlap"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare digests across parts; no cell of another part is read."""
        yield from self._report_rows(context)
        yield from self._report_entities(context)

    def _report_rows(self, context: CheckContext) -> Iterator[Finding]:
        digests = context.row_digests or {}
        train_digests = set(digests.get("train", ()))
        for part, part_digests in digests.items():
            n_shared = sum(digest in train_digests for digest in part_digests)
            if part == "train" or not n_shared:
                continue
            fraction = n_shared / len(part_digests)
            severity: Severity = "warn" if fraction >= WARNING_FRACTION else "tip"
            yield Finding(
                self.code,
                severity,
                f"{n_shared:,} of {len(part_digests):,} {part} rows ({fraction:.1%}) also stand "
                "among the training rows",
                None,
                {"part": part, "shared": n_shared, "rows": len(part_digests)},
                "figures on these rows are too good; remove them from one of the given files, "
                "or let the tool split one file",
            )

    def _report_entities(self, context: CheckContext) -> Iterator[Finding]:
        entities_by_part = {
            name: set(digests) - {MISSING_ENTITY_DIGEST}
            for name, digests in (context.group_digests or {}).items()
        }
        train_entities = entities_by_part.pop("train", set())
        n_shared_by_part = {
            name: len(digests & train_entities) for name, digests in entities_by_part.items()
        }
        if not context.group_column or not any(n_shared_by_part.values()):
            return
        part = max(
            n_shared_by_part,
            key=lambda name: n_shared_by_part[name] / max(len(entities_by_part[name]), 1),
        )
        count, n_entities = n_shared_by_part[part], len(entities_by_part[part])
        # Under a split by time an entity may go on: what comes later is then to be told.
        yield Finding(
            self.code,
            "tip" if context.time_column else "warn",
            f"{count:,} of {n_entities:,} values of {context.group_column} in {part} rows ({count / n_entities:.1%}) "
            "also stand in training rows",
            context.group_column,
            {
                "shared": n_shared_by_part,
                "entities": {name: len(digests) for name, digests in entities_by_part.items()},
            },
            "keep each on one side (split.rule: entity), or figures say how well known ones are "
            "known again",
            () if context.time_column else (ConfigEdit(("split", "rule"), "entity"),),
        )


CHECK = TrainTestOverlap()
