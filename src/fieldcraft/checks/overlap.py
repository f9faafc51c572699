"""The same row, or rows of the same entity, on both sides of the split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.data.table import row_digests
from fieldcraft.evidence.records import Finding, Severity

MANY = 0.01
NOBODY = row_digests(pl.DataFrame({"entity": pl.Series([None], dtype=pl.String)}))[0]


class Overlap:
    """Reports rows of judge and test that stand, or whose entity stands, in the training rows."""

    code = "overlap"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare digests across parts; no cell of another part is read."""
        yield from self._rows(view)
        yield from self._entities(view)

    def _rows(self, view: View) -> Iterator[Finding]:
        digests = view.digests or {}
        train = set(digests.get("train", ()))
        for part, others in digests.items():
            shared = sum(digest in train for digest in others)
            if part == "train" or not shared:
                continue
            share = shared / len(others)
            severity: Severity = "warn" if share >= MANY else "tip"
            yield Finding(
                self.code,
                severity,
                f"{shared:,} of {len(others):,} {part} rows ({share:.1%}) also stand "
                "among the training rows",
                None,
                {"part": part, "shared": shared, "rows": len(others)},
                "figures on these rows are too good; remove them from one of the given files, "
                "or let the tool split one file",
            )

    def _entities(self, view: View) -> Iterator[Finding]:
        parts = {name: set(found) - {NOBODY} for name, found in (view.entities or {}).items()}
        train = parts.pop("train", set())
        shared = {name: len(found & train) for name, found in parts.items()}
        if not view.entity or not any(shared.values()):
            return
        part = max(shared, key=lambda name: shared[name] / max(len(parts[name]), 1))
        count, whole = shared[part], len(parts[part])
        # Under a split by time an entity may go on: what comes later is then to be told.
        yield Finding(
            self.code,
            "tip" if view.time else "warn",
            f"{count:,} of {whole:,} values of {view.entity} in {part} rows ({count / whole:.1%}) "
            "also stand in training rows",
            view.entity,
            {"shared": shared, "entities": {name: len(found) for name, found in parts.items()}},
            "keep each on one side (split.rule: entity), or figures say how well known ones are "
            "known again",
            () if view.time else (Edit(("split", "rule"), "entity"),),
        )


CHECK = Overlap()
