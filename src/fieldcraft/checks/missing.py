"""Columns with gaps, and rows without a target."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.evidence.records import Finding, Severity

MANY = 0.3
NEARLY_ALL = 0.95


class Missing:
    """Reports columns that miss values, by how many they miss."""

    code = "missing"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Report rows without a target, and columns with gaps."""
        for name, look in view.looks.items():
            share = look.missing / max(look.rows, 1)
            if not look.missing or look.distinct == 0:
                continue
            evidence = {"missing": look.missing, "rows": look.rows}
            words = f"{name}: {look.missing:,} of {look.rows:,} values missing ({share:.1%})"
            if name in view.targets:
                yield Finding(
                    self.code,
                    "warn",
                    f"{look.missing:,} of {look.rows:,} rows have no target and are left out",
                    name,
                    evidence,
                    "find out why; rows without a target may differ from the others",
                )
            elif name not in {column.name for column in view.schema.columns}:
                continue
            elif share >= NEARLY_ALL:
                drop = Edit(("data", "drop"), name, add=True)
                advice = "drop the column, unless its gaps mean something"
                yield Finding(self.code, "warn", words, name, evidence, advice, (drop,))
            else:
                severity: Severity = "warn" if share >= MANY else "tip"
                advice = "gaps are filled and flagged; ask whether they are there at prediction too"
                yield Finding(self.code, severity, words, name, evidence, advice)


CHECK = Missing()
