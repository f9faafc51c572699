"""Rows that stand in the table more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.data.table import row_digests
from fieldcraft.evidence.records import Finding, Severity

MANY = 0.01


class Duplicates:
    """Reports rows that are alike in every column but names of rows."""

    code = "duplicates"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Report how many rows are repeated; the split keeps them on one side."""
        columns = [*view.values.columns]
        digests = row_digests(view.values, columns)
        counts = Counter(digests)
        extra = len(digests) - len(counts)
        if not extra:
            return
        share = extra / len(digests)
        example = max(counts, key=counts.__getitem__)
        lines = [line for line, digest in zip(view.rows, digests, strict=True) if digest == example]
        severity: Severity = "warn" if share >= MANY else "tip"
        yield Finding(
            self.code,
            severity,
            f"{extra:,} of {len(digests):,} rows ({share:.1%}) repeat another row",
            None,
            {"repeated": extra, "rows": len(digests), "lines": lines[:5]},
            "find out whether they are real (names of rows are not compared); equal rows stay on "
            "one side of the split",
        )


CHECK = Duplicates()
