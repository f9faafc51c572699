"""Levels that are one and the same, spelt differently."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from fieldcraft.contracts import Sight, View
from fieldcraft.core.edit import Edit
from fieldcraft.core.words import listed, plural
from fieldcraft.data.look import Look
from fieldcraft.data.names import without_accents
from fieldcraft.data.parse import truths
from fieldcraft.evidence.records import Finding, sole

MOST_LEVELS = 3_000
JOINS = re.compile(r"[\s_\-./']+")
LONG = 6  # letters from which on one slip of the pen is told from another word
LONGER = 10  # two slips
LONGEST = 24  # above, one slip must do: the pairs of letters to leave out are too many
A_SENTENCE = 80  # letters from which on it is text, and no level
COMMON = 20  # rows of the right spelling, and times as many as of the wrong one
MANY = 0.01


@dataclass(frozen=True)
class Spelling:
    """A level that seems to be another one, and how many rows have it."""

    column: str
    odd: str
    usual: str
    rows: int


class Spellings:
    """Reports categories with levels that differ only in how they are written."""

    code = "spellings"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Compare the levels of each category, and of a target of classes."""
        names = [column.name for column in view.schema.of_kind("category")]
        variants: list[Spelling] = []
        slips: list[Spelling] = []
        for name in [*names, *view.targets]:
            look = view.looks.get(name)
            if look is None or not look.is_text or not 2 <= look.distinct <= MOST_LEVELS:
                continue
            if (
                name in names
                and look.distinct > 2
                and not truths(look.counts["value"]).null_count()
            ):
                yield self._truths(look, plain=not options_of(view, name))
                continue
            variants += variants_of(look)
            slips += slips_of(look)
        rows = max(len(view.rows), 1)
        yield from self._finding(variants, "in case, blanks, accents or signs", rows)
        yield from self._finding(slips, "by a letter or two", rows)

    def _truths(self, look: Look, plain: bool) -> Finding:
        words = [repr(word) for word, _ in look.top(8)]
        return Finding(
            self.code,
            "warn",
            f"{look.name} says yes and no in {look.distinct} ways: {listed(words)}",
            look.name,
            {"words": dict(look.top(20))},
            "read it as yes or no",
            (Edit(("data", "columns", look.name, "kind"), "boolean"),) if plain else (),
        )

    def _finding(self, found: list[Spelling], how: str, rows: int) -> Iterator[Finding]:
        if not found:
            return
        columns = list(dict.fromkeys(spelling.column for spelling in found))
        shown = [f"{s.column} {s.odd!r} and {s.usual!r}" for s in found]
        many = how.startswith("in case") and sum(s.rows for s in found) >= MANY * rows
        yield Finding(
            self.code,
            "warn" if many else "tip",
            f"{plural(len(found), 'level differs', 'levels differ')} from another only {how}: "
            f"{listed(shown, 4)}",
            sole(columns),
            {
                "levels": [
                    {"column": s.column, "odd": s.odd, "usual": s.usual, "rows": s.rows}
                    for s in found[:50]
                ]
            },
            "if they mean the same, spell them alike in the file or in a derived column "
            "(data.derive); a model takes them for different things",
        )


def options_of(view: View, name: str) -> bool:
    """Whether the entry of a column has options beside its kind."""
    return any(column.options for column in view.schema.columns if column.name == name)


def plain(text: str) -> str:
    """Text without case, accents, and signs that join words."""
    return JOINS.sub(" ", without_accents(text).casefold()).strip()


def variants_of(look: Look) -> list[Spelling]:
    """Levels that are the same but for case, blanks, accents and joining signs."""
    seen: dict[str, str] = {}
    found = []
    for value, count in look.top(MOST_LEVELS):
        key = plain(value)
        if not any(letter.isalpha() for letter in key):
            continue  # "-5" is not "5"
        usual = seen.setdefault(key, value)
        if usual != value:
            found.append(Spelling(look.name, value, usual, count))
    return found


def slips_of(look: Look) -> list[Spelling]:
    """Rare levels that are a common one with a letter or two wrong, missing, added or swapped."""
    levels = [(plain(value), value, count) for value, count in look.top(MOST_LEVELS)]
    near: dict[str, list[int]] = defaultdict(list)
    found = []
    for place, (key, value, count) in enumerate(levels):
        if not LONG <= len(key) <= A_SENTENCE:
            continue
        shorter = deletions(key)
        usual = next(
            (
                levels[i][1]
                for text in shorter
                for i in near.get(text, ())
                if levels[i][2] >= COMMON * count and is_slip(key, levels[i][0])
            ),
            None,
        )
        if usual is not None:
            found.append(Spelling(look.name, value, usual, count))
        elif count >= COMMON:
            for text in shorter:
                near[text].append(place)
    return found


def deletions(text: str) -> list[str]:
    """A text and what is left of it without one letter, or two if it is long.

    Two texts that are as near as that share such a rest (Garbe's symmetric deletion).
    """
    most = 2 if LONGER <= len(text) <= LONGEST else 1
    found = {text}
    for count in range(1, most + 1):
        for gone in combinations(range(len(text)), count):
            found.add("".join(letter for i, letter in enumerate(text) if i not in gone))
    return sorted(found)


def is_slip(odd: str, usual: str) -> bool:
    """Whether one text is another with few letters changed; digits and whole words must agree."""
    if odd == usual or re.sub(r"\D", "", odd) != re.sub(r"\D", "", usual):
        return False
    if len(odd.split()) != len(usual.split()) or odd[:-1] == usual[:-1]:
        return False  # "type A" and "type B"
    if len(odd) == len(usual) == LONG and sorted(odd) != sorted(usual):
        return False  # "island" and "inland"
    return distance(odd, usual) <= (2 if min(len(odd), len(usual)) >= LONGER else 1)


def distance(a: str, b: str) -> int:
    """Letters to change, add, take away or swap with their neighbour (Damerau-Levenshtein)."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        before, last, row = row, before, [i]
        for j, other in enumerate(b, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (letter != other)))
            if i > 1 and j > 1 and letter == b[j - 2] and a[i - 2] == other:
                row[-1] = min(row[-1], last[j - 2] + 1)
    return row[-1]


CHECK = Spellings()
