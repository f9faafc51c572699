"""Tables with few rows, or with more columns than rows can tell apart."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.core.words import plural
from fieldcraft.evidence.records import Finding

VERY_FEW = 50
FEW = 200
ROWS_A_COLUMN = 5


class FewRows:
    """Reports tables from which little can be learned for sure."""

    code = "few_rows"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Count rows with a target, and compare with the columns in use."""
        features = {column.name for column in view.schema.columns} & set(view.values.columns)
        targets = [view.looks[name].missing for name in view.targets if name in view.looks]
        rows, columns = len(view.rows) - max(targets, default=0), len(features)
        evidence = {"rows": rows, "columns": columns}
        if 0 < rows < FEW:
            yield Finding(
                self.code,
                "warn" if rows < VERY_FEW else "tip",
                f"only {plural(rows, 'row')} to learn from and to judge on",
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
        elif rows < ROWS_A_COLUMN * columns:
            yield Finding(
                self.code,
                "tip",
                f"{rows:,} rows for {columns:,} columns ({rows / columns:.1f} for each)",
                None,
                evidence,
                "drop columns that cannot matter; simple models may win",
            )


CHECK = FewRows()
