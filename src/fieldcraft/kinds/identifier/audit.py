"""Checks of columns that name rows."""

from __future__ import annotations

from collections.abc import Iterable

from fieldcraft.contracts import Sight, View
from fieldcraft.core import catalogue
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed
from fieldcraft.data.look import Look
from fieldcraft.data.names import words_of
from fieldcraft.evidence.records import Finding, sole, told_together

KEYS = frozenset({"id", "ids", "uuid", "guid", "key", "pk", "rowid", "index", "serial"})
MOSTLY = 0.5  # of the values are different: a key of few rows each
FEWEST = 20


class Identifiers:
    """Columns that name rows: set aside by the guess, a danger where they are used."""

    code = "identifier"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Tell which columns are set aside as names, and warn of those that are not."""
        kind = catalogue.load("kinds", "identifier")
        aside: list[Look] = []
        for column in view.schema.columns:
            look = view.looks[column.name]
            if column.kind == "identifier":
                aside.append(look)
            elif column.kind in ("category", "number") and column.name != view.entity:
                guess = kind.recognise(look)
                if guess or is_key(look):
                    reason = guess.reason if guess else f"{look.distinct:,} different values"
                    yield self._used(look, column.kind, reason)
        for looks in told_together(aside):
            yield self._aside(looks)

    def _used(self, look: Look, kind: str, reason: str) -> Finding:
        return Finding(
            self.code,
            "warn",
            f"{look.name} is used as a {kind} but looks like a name of rows: {reason}",
            look.name,
            {"distinct": look.distinct, "rows": look.rows},
            "drop it: a model can only learn it by heart",
            (Edit(("data", "drop"), look.name, add=True),),
        )

    def _aside(self, looks: list[Look]) -> Finding:
        first, names = looks[0], [look.name for look in looks]
        title = f"{len(looks)} columns name rows and are set aside: {listed(names)}"
        if sole(names):
            title = (
                f"{first.name} names rows ({first.distinct:,} different values in "
                f"{len(first.values):,} rows) and is set aside"
            )
        return Finding(
            self.code,
            "tip",
            title,
            sole(names),
            {"distinct": {look.name: look.distinct for look in looks}, "rows": first.rows},
            "if one carries meaning, set its kind under data.columns",
        )


def is_key(look: Look) -> bool:
    """Whether a column is called a key and has few rows for each of its values."""
    words = words_of(look.name)
    if not words or words[-1] not in KEYS or len(look.values) < FEWEST:
        return False
    whole = look.numeric_share < 1.0 or look.whole_numbers
    return whole and look.distinct >= MOSTLY * len(look.values)


CHECKS = (Identifiers(),)
