"""Rows that occur more than once in the table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.data.schema import row_digests
from fieldcraft.ledger.records import Finding, Severity

WARNING_FRACTION = 0.01  # of the rows


class DuplicateRows:
    """Reports rows that are equal in every column except row identifiers."""

    code = "duplicate_rows"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count repeated rows."""
        # `values` has no columns of identifiers: they would make every row unique.
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
        severity: Severity = "warning" if fraction >= WARNING_FRACTION else "info"
        yield Finding(
            self.code,
            severity,
            f"{n_duplicates:,} of {len(digests):,} rows ({fraction:.1%}) repeat another row",
            None,
            {"n_repeated": n_duplicates, "rows": len(digests), "line_numbers": row_numbers[:5]},
            "find out whether they are separate cases (row identifiers are not compared); the "
            "split keeps equal rows on one side",
        )


CHECK = DuplicateRows()
