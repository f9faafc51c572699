"""Names of classes that stand in the texts, and so give the target away."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import listed, plural
from fieldcraft.evidence.association import some
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.written import Written, plain, texts_of

FEWEST = 20  # texts of a class
MOST_TEXTS = 20_000
MOST_CLASSES = 500
NEARLY_ALL = 0.95  # of the texts of a class, to be told of that class alone
TELLS = 0.5  # of all texts, to be told of all classes
RIGHT = 0.95  # of the names that are said are those of the text's class
RARELY = 0.01  # of the texts of other classes
A_WORD = 3  # letters that a name must have, to be looked for
CHINESE = "[\u4e00-\u9fff]"  # a sign that says as much as two letters


@dataclass(frozen=True)
class Named:
    """A class whose name is looked for.

    Attributes:
        name: of the class.
        texts: of the class.
        own: in how many of them the name stands.
        placed: in how many it stands at the commonest place, counted from the start or the end.
        others: in how many texts of other classes the name stands.
        rest: texts of other classes.
    """

    name: str
    texts: int
    own: int
    placed: int
    others: int
    rest: int

    @property
    def tells(self) -> bool:
        """Whether the name stands at one place of nearly every text of the class alone.

        People say the word for a thing here and there, programs write labels at one place.
        """
        return (
            self.texts >= FEWEST
            and self.placed >= NEARLY_ALL * self.texts
            and self.rest > 0
            and self.others <= RARELY * self.rest
        )


class LabelWords:
    """Texts in which the name of their own class stands, where others do not say it."""

    code = "label_words"
    looks_at: Sight = "split"

    def run(self, view: View) -> Iterable[Finding]:
        """Count, in training rows, which classes' names stand in the texts of which class."""
        members = members_of(view)
        for written in texts_of(view) if members else ():
            written = written.of(some(len(written), MOST_TEXTS))
            found = said(written, members)
            texts, own = sum(one.texts for one in found), sum(one.own for one in found)
            others = sum(one.others for one in found)
            if texts >= FEWEST and own >= TELLS * texts and own >= RIGHT * (own + others):
                yield self._finding(written, found, f"{own:,} of {texts:,} texts")
            elif telling := [one for one in found if one.tells]:
                which = f"nearly all texts of {plural(len(telling), 'class', 'classes')}"
                yield self._finding(written, telling, which)

    def _finding(self, written: Written, found: list[Named], which: str) -> Finding:
        most = sorted(found, key=lambda one: (-one.own / max(one.texts, 1), one.name))
        shown = [
            f"{one.name} ({one.own / max(one.texts, 1):.0%} of its texts, "
            f"{one.others / max(one.rest, 1):.1%} of the others)"
            for one in most
        ]
        return Finding(
            self.code,
            "warn",
            f"{written.name}: {which} say the name of their own class: {listed(shown, 3)}",
            written.name,
            {"classes": {o.name: {"texts": o.texts, "own": o.own, "others": o.others}
                         for o in most[:50]}},
            "ask whether the label was written into the texts (a heading, a tag, a folder's name) "
            "and will be missing in texts to predict; then take it out. A word that people would "
            "use for such things anyway can stay",
        )  # fmt: skip


def members_of(view: View) -> dict[str, Array]:
    """Which training rows belong to each class or have each label; none for numbers."""
    if view.y is None or view.task is None or view.task.output == "value":
        return {}
    about: dict[str, Any] = view.about or {}
    if view.task.output == "labels":
        return {name: view.y[:, i] == 1 for i, name in enumerate(view.targets)}
    return {str(name): view.y == i for i, name in enumerate(about.get("classes", ()))}


def said(written: Written, members: dict[str, Array]) -> list[Named]:
    """What is said of each class; the longest name is looked for first, as it may hold another."""
    words = (" " + plain(written.texts) + " ").cast(pl.String)
    phrases = {name: phrase for name in members if (phrase := phrase_of(name))}
    found = []
    for name in sorted(phrases, key=lambda name: (-len(phrases[name]), name))[:MOST_CLASSES]:
        phrase, own = f" {phrases[name]} ", members[name][written.places]
        there = words.str.contains(phrase, literal=True).to_numpy()
        placed = 0
        if there.any():
            placed = at_one_place(words.filter(pl.Series(there & own)), phrase)
            words = words.str.replace_all(phrase, " ", literal=True)
        texts, says, others = int(own.sum()), int((there & own).sum()), int((there & ~own).sum())
        found.append(Named(name, texts, says, placed, others, int((~own).sum())))
    return found


def at_one_place(words: pl.Series, phrase: str) -> int:
    """In how many texts a phrase stands as many letters from the start, or at the very end.

    >>> at_one_place(pl.Series([" a b c ", " a d ", " b a "]), " a ")
    2
    """
    places = words.str.find(phrase, literal=True).drop_nulls().to_numpy()
    most = int(np.bincount(places).max()) if len(places) else 0
    return max(most, int(words.str.ends_with(phrase).sum()))


def phrase_of(name: str) -> str:
    """The name of a class as words; empty if it is no word.

    >>> phrase_of("comp.sys.mac"), phrase_of("lateDelivery"), phrase_of("体育"), phrase_of("b2")
    ('comp sys mac', 'late delivery', '体 育', '')
    """
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = str(plain(pl.Series([apart]))[0])
    letters = sum(map(str.isalpha, words)) + len(re.findall(CHINESE, words))
    return words if letters >= A_WORD else ""
