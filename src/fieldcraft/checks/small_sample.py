"""Tables with few rows, or with more columns than rows can tell apart."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import pluralize
from fieldcraft.ledger.records import Finding

WARNING_ROWS = 50
INFO_ROWS = 200
MIN_ROWS_PER_COLUMN = 5


class SmallSample:
    """Reports tables from which little can be learned for sure."""

    code = "few_rows"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count rows with a target, and compare with the columns in use."""
        features = {column.name for column in context.schema.columns} & set(context.values.columns)
        missing_targets = [
            context.column_profiles[name].n_missing
            for name in context.targets
            if name in context.column_profiles
        ]
        rows, columns = len(context.row_numbers) - max(missing_targets, default=0), len(features)
        evidence = {"rows": rows, "columns": columns}
        if 0 < rows < INFO_ROWS:
            yield Finding(
                self.code,
                "warn" if rows < WARNING_ROWS else "tip",
                f"only {pluralize(rows, 'row')} to learn from and to judge on",
                None,
                evidence,
                "expect wide intervals; collect more rows before you choose between models",
            )
        elif columns > rows > 0:
            yield Finding(
                self.code,
                "warn",
                f"more columns ({columns:,}) than rows ({rows:,})",
                None,
                evidence,
                "a model can fit anything then; drop columns that cannot matter, and trust the "
                "comparison with the linear baseline",
            )
        elif rows < MIN_ROWS_PER_COLUMN * columns:
            yield Finding(
                self.code,
                "tip",
                f"{rows:,} rows for {columns:,} columns ({rows / columns:.1f} for each)",
                None,
                evidence,
                "drop columns that cannot matter; simple models may win",
            )


CHECK = SmallSample()
