"""Columns with gaps, and rows without a target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed
from fieldcraft.data.look import Look
from fieldcraft.evidence.records import Finding, Severity

MANY = 0.3
NEARLY_ALL = 0.95
WORTH = 0.01  # of the rows, from which on a missing target is a warning
HANDFUL = 50  # values from which nothing can be learned
APART = 3  # so many columns are told one by one, more of them in one line


class Missing:
    """Reports columns that miss values, by how many they miss."""

    code = "missing"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Report rows without a target, and columns with gaps."""
        yield from (
            self._target(view.looks[name])
            for name in view.targets
            if name in view.looks and view.looks[name].missing and view.looks[name].distinct
        )
        nearly, many, some = list[Look](), list[Look](), list[Look]()
        for column in view.schema.columns:
            look = view.looks[column.name]
            if look.missing and look.distinct:
                share = look.missing / look.rows
                (nearly if share >= NEARLY_ALL else many if share >= MANY else some).append(look)
        advice = "gaps are filled and flagged; ask whether they are there at prediction too"
        yield from self._columns(nearly, "warn", "drop it, unless its gaps mean something")
        yield from self._columns(many, "warn", advice)
        yield from self._columns(some, "tip", advice)

    def _target(self, look: Look) -> Finding:
        return Finding(
            self.code,
            "warn" if look.missing >= WORTH * look.rows else "tip",
            f"{look.missing:,} of {look.rows:,} rows have no {look.name}, the target, and are "
            "left out",
            look.name,
            {"missing": look.missing, "rows": look.rows},
            "find out why; rows without a target may differ from the others",
        )

    def _columns(self, looks: Sequence[Look], severity: Severity, advice: str) -> Iterator[Finding]:
        if len(looks) <= APART:
            for look in looks:
                words = f"{look.missing:,} of {look.rows:,} values missing ({share(look)})"
                evidence = {"missing": look.missing, "rows": look.rows}
                title = f"{look.name}: {words}"
                yield Finding(
                    self.code, severity, title, look.name, evidence, advice, fixes([look])
                )
            return
        looks = sorted(looks, key=lambda look: -look.missing)
        shown = listed([f"{look.name} ({share(look)})" for look in looks])
        yield Finding(
            self.code,
            severity,
            f"{len(looks)} columns miss values: {shown}",
            None,
            {"missing": {look.name: look.missing for look in looks}, "rows": looks[0].rows},
            advice,
            fixes(looks),
        )


def share(look: Look) -> str:
    """The share of rows without a value, in words."""
    return f"{look.missing / look.rows:.1%}"


def fixes(looks: Sequence[Look]) -> tuple[Edit, ...]:
    """Columns with next to no value are dropped; hundreds of values may mean something."""
    empty = [
        look.name
        for look in looks
        if look.missing >= NEARLY_ALL * look.rows and look.rows - look.missing < HANDFUL
    ]
    return tuple(Edit(("data", "drop"), name, add=True) for name in empty)


CHECK = Missing()
