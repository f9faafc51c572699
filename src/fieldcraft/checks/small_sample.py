"""Tables with few rows, or with few rows per column."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import pluralize
from fieldcraft.ledger.records import Finding

WARNING_ROWS = 50
INFO_ROWS = 200
MIN_ROWS_PER_COLUMN = 5  # below, linear models overfit without strong regularization


class SmallSample:
    """Reports tables that are too small for reliable models and metrics."""

    code = "small_sample"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the number of rows with a target to the number of features."""
        features = {column.name for column in context.schema.columns} & set(context.values.columns)
        missing_targets = [
            context.column_profiles[name].n_missing
            for name in context.targets
            if name in context.column_profiles
        ]
        # Rows need all targets, so of several the one with the most missing values decides.
        rows, columns = len(context.row_numbers) - max(missing_targets, default=0), len(features)
        evidence = {"rows": rows, "columns": columns}
        if 0 < rows < INFO_ROWS:
            yield Finding(
                self.code,
                "warning" if rows < WARNING_ROWS else "info",
                f"only {pluralize(rows, 'row')} for training and evaluation",
                None,
                evidence,
                "expect wide intervals; collect more rows before you choose between models",
            )
        elif columns > rows > 0:
            yield Finding(
                self.code,
                "warning",
                f"more columns ({columns:,}) than rows ({rows:,})",
                None,
                evidence,
                "a model can then fit any target; drop columns that cannot matter, and compare "
                "with the linear baseline",
            )
        elif rows < MIN_ROWS_PER_COLUMN * columns:
            yield Finding(
                self.code,
                "info",
                f"{rows:,} rows for {columns:,} columns ({rows / columns:.1f} per column)",
                None,
                evidence,
                "drop columns that cannot matter; simple models may be best",
            )


CHECK = SmallSample()
