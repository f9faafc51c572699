"""Values that stand for "no value" without saying so: -999, 9999, unknown, none."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.data.look import Look
from fieldcraft.evidence.records import Finding, Severity

NUMBERS = (-1.0, -9.0, -99.0, -999.0, -9999.0, 99.0, 999.0, 9999.0, 99999.0, 999999.0)
WORDS = frozenset({"unknown", "none", "missing", "not available", "n.a.", "tbd", "nil", "#null!"})
OFTEN = 0.005  # share of the rows that a placeholder takes at least
APART = 3.0  # interquartile ranges between a placeholder number and the rest


class Placeholders:
    """Reports markers of missing values that are read as values."""

    code = "placeholders"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Report marks such as ``?``, lonely extreme numbers and words such as ``unknown``."""
        used = {column.name: column.kind for column in view.schema.columns}
        for name, look in view.looks.items():
            if name not in used:
                continue
            for mark, count in look.marks.items():
                if mark not in view.schema.missing:
                    yield self._finding(look, mark, count, "warn")
            if used[name] == "number":
                for value, count in lonely_extremes(look):
                    yield self._finding(look, value, count, "warn")
            elif used[name] == "category":
                for value, count in look.top(20):
                    if value.strip().lower() in WORDS and count >= OFTEN * look.rows:
                        yield self._finding(look, value, count, "tip")

    def _finding(self, look: Look, value: str, count: int, severity: Severity) -> Finding:
        return Finding(
            self.code,
            severity,
            f"{look.name}: {value!r} stands in {count:,} rows and may mean that there is no value",
            look.name,
            {"value": value, "rows": count},
            "if it does, read it as missing",
            (Edit(("data", "missing"), value, add=True),),
        )


def lonely_extremes(look: Look) -> list[tuple[str, int]]:
    """Numbers often used as placeholders that stand at the end of the range, far from the rest."""
    values = look.numbers.drop_nulls().to_numpy()
    found = []
    for mark in NUMBERS:
        count = int((values == mark).sum())
        rest = values[values != mark]
        if count < max(2, OFTEN * look.rows) or len(rest) < 10:
            continue
        low, high = np.quantile(rest, [0.25, 0.75])
        gap = max(rest.min() - mark, mark - rest.max())
        if gap > APART * max(high - low, 1e-12) and gap > 0:
            text = next((str(v) for v in look.counts["value"] if as_number(v) == mark), f"{mark:g}")
            found.append((text, count))
    return found


def as_number(value: object) -> float | None:
    """A cell as a number, or None."""
    try:
        return float(str(value))
    except ValueError:
        return None


CHECK = Placeholders()
