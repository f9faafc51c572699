"""Rows in which two columns contradict each other: an end before its start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import listed, plural
from fieldcraft.data.names import words_of
from fieldcraft.evidence.association import numbers_of
from fieldcraft.evidence.records import Finding

FEWEST = 50  # rows with both values
FEW = 0.02  # of the rows; more are not mistakes but how it is
MOST_DATES = 20
OPPOSITES = {
    "min": "max", "minimum": "maximum", "low": "high", "lower": "upper", "lowest": "highest",
    "start": "end", "begin": "end", "from": "to", "first": "last", "entry": "exit",
    "open": "close", "von": "bis", "anfang": "ende",
}  # fmt: skip


class Contradictions:
    """Reports pairs of columns that are in one order but for a few rows."""

    code = "contradictions"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare dates with each other, and numbers whose names are opposites."""
        found: dict[str, int] = {}
        lines: list[int] = []
        for first, second in pairs(view):
            a, b = numbers_of(view.values[first]), numbers_of(view.values[second])
            if a is None or b is None:
                continue
            wrong, early, late = reversed_rows(a, b, first, second)
            if len(wrong):
                found[f"{late} before {early}"] = len(wrong)
                lines += [view.rows[i] for i in wrong[:3]]
        if found:
            shown = [f"{what} in {plural(count, 'row')}" for what, count in found.items()]
            yield Finding(
                self.code,
                "tip",
                f"rows that contradict the others: {listed(shown, 4)}",
                None,
                {"rows": found, "lines": lines[:12]},
                "look at these rows; one of the two is probably mistaken",
            )


def pairs(view: View) -> Iterator[tuple[str, str]]:
    """Pairs of columns that can be expected to be in one order."""
    columns = view.values.schema
    names = [c.name for c in view.schema.columns if c.name in columns]
    dates = [name for name in names if columns[name].is_temporal()]
    yield from combinations(dates[:MOST_DATES], 2)
    by_words = {words_of(name): name for name in names if columns[name].is_numeric()}
    for words, name in by_words.items():
        for place, word in enumerate(words):
            other = (*words[:place], OPPOSITES.get(word, ""), *words[place + 1 :])
            if other in by_words:
                yield name, by_words[other]


def reversed_rows(a: Array, b: Array, first: str, second: str) -> tuple[Array, str, str]:
    """Positions of the few rows in another order than the rest, and the names in usual order."""
    both = ~np.isnan(a) & ~np.isnan(b)
    after, before = both & (a < b), both & (a > b)
    usual = after.sum() >= before.sum()
    odd, rest = (before, after) if usual else (after, before)
    names = (first, second) if usual else (second, first)
    if both.sum() < FEWEST or odd.sum() > FEW * both.sum() or rest.sum() < both.sum() / 2:
        odd = np.zeros(len(a), dtype=bool)
    return np.flatnonzero(odd), *names


CHECK = Contradictions()
