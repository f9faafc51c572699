"""Rows that stand in the table more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.data.schema import row_digests
from fieldcraft.ledger.records import Finding, Severity

WARNING_FRACTION = 0.01


class DuplicateRows:
    """Reports rows that are alike in every column but names of rows."""

    code = "duplicates"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Report how many rows are repeated; the split keeps them on one side."""
        columns = [*context.values.columns]
        digests = row_digests(context.values, columns)
        counts = Counter(digests)
        n_duplicates = len(digests) - len(counts)
        if not n_duplicates:
            return
        fraction = n_duplicates / len(digests)
        most_repeated = max(counts, key=counts.__getitem__)
        row_numbers = [
            row_number
            for row_number, digest in zip(context.row_numbers, digests, strict=True)
            if digest == most_repeated
        ]
        severity: Severity = "warn" if fraction >= WARNING_FRACTION else "tip"
        yield Finding(
            self.code,
            severity,
            f"{n_duplicates:,} of {len(digests):,} rows ({fraction:.1%}) repeat another row",
            None,
            {"repeated": n_duplicates, "rows": len(digests), "lines": row_numbers[:5]},
            "find out whether they are real (names of rows are not compared); equal rows stay on "
            "one side of the split",
        )


CHECK = DuplicateRows()
