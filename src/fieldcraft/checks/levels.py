"""Categories with many levels, or with levels of a single row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fieldcraft.contracts import Sight, View
from fieldcraft.core.words import listed, plural
from fieldcraft.data.look import Look
from fieldcraft.evidence.records import Finding, sole

MANY = 50
ROWS_A_LEVEL = 20.0
FEWEST_ROWS = 50


@dataclass(frozen=True)
class Count:
    """A column's levels, and how many of them have one row."""

    name: str
    levels: int
    single: int


class Levels:
    """Reports categories that are finely divided or have levels seen only once."""

    code = "levels"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Count levels and their rows."""
        if len(view.rows) < FEWEST_ROWS:
            return
        looks = [view.looks[column.name] for column in view.schema.of_kind("category")]
        many = [counted(look) for look in looks if is_fine(look)]
        rare = [counted(look) for look in looks if not is_fine(look)]
        yield from self._finding(
            many,
            "many levels with few rows each",
            "join levels that mean the same, or take what they have in common as a column",
        )
        yield from self._finding(
            [count for count in rare if count.single],
            "levels with a single row",
            "a model cannot learn them; join them with a level that is near in meaning",
        )

    def _finding(self, counts: Sequence[Count], what: str, advice: str) -> Iterator[Finding]:
        if counts:
            shown = [f"{c.name} ({c.levels:,} levels, {c.single:,} with one row)" for c in counts]
            yield Finding(
                self.code,
                "tip",
                f"{plural(len(counts), 'column has', 'columns have')} {what}: {listed(shown, 5)}",
                sole(each.name for each in counts),
                {"levels": {c.name: {"levels": c.levels, "single": c.single} for c in counts}},
                advice,
            )


def is_fine(look: Look) -> bool:
    """Whether a column has many levels with few rows each."""
    return look.distinct >= MANY and look.distinct * ROWS_A_LEVEL > len(look.values)


def counted(look: Look) -> Count:
    """The levels of a column."""
    return Count(look.name, look.distinct, int((look.counts["count"] == 1).sum()))


CHECK = Levels()
