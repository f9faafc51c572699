"""Names of classes that stand in the texts, and so give the target away."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import pluralize, truncated_list
from fieldcraft.core.types import Array
from fieldcraft.kinds.text.checks._base import TextColumn, iter_text_columns, normalize_words
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import sample_rows

MIN_TEXTS_PER_CLASS = 20  # texts of a class
MAX_TEXTS = 20_000
MAX_CLASSES = 500
MIN_CLASS_COVERAGE = 0.95  # of the texts of a class, to be told of that class alone
MIN_TOTAL_COVERAGE = 0.5  # of all texts, to be told of all classes
MIN_PRECISION = 0.95  # of the names that are said are those of the text's class
MAX_OTHER_FRACTION = 0.01  # of the texts of other classes
MIN_LETTERS = 3  # letters that a name must have, to be looked for
HAN_PATTERN = "[\u4e00-\u9fff]"  # a sign that says as much as two letters


@dataclass(frozen=True)
class LabelMentions:
    """A class whose name is looked for.

    Attributes:
        label: of the class.
        n_texts: of the class.
        n_own_mentions: in how many of them the name stands.
        n_at_same_position: in how many it stands at the commonest place, counted from the start or the end.
        n_other_mentions: in how many texts of other classes the name stands.
        n_other_texts: texts of other classes.
    """

    label: str
    n_texts: int
    n_own_mentions: int
    n_at_same_position: int
    n_other_mentions: int
    n_other_texts: int

    @property
    def is_leak(self) -> bool:
        """Whether the name stands at one place of nearly every text of the class alone.

        People say the word for a thing here and there, programs write labels at one place.
        """
        return (
            self.n_texts >= MIN_TEXTS_PER_CLASS
            and self.n_at_same_position >= MIN_CLASS_COVERAGE * self.n_texts
            and self.n_other_texts > 0
            and self.n_other_mentions <= MAX_OTHER_FRACTION * self.n_other_texts
        )


class LabelInText:
    """Texts in which the name of their own class stands, where others do not say it."""

    code = "label_words"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count, in training rows, which classes' names stand in the texts of which class."""
        members = rows_by_class(context)
        for text_column in iter_text_columns(context) if members else ():
            text_column = text_column.select(sample_rows(len(text_column), MAX_TEXTS))
            mentions = count_label_mentions(text_column, members)
            n_texts, n_own = (
                sum(mention.n_texts for mention in mentions),
                sum(mention.n_own_mentions for mention in mentions),
            )
            n_others = sum(mention.n_other_mentions for mention in mentions)
            if (
                n_texts >= MIN_TEXTS_PER_CLASS
                and n_own >= MIN_TOTAL_COVERAGE * n_texts
                and n_own >= MIN_PRECISION * (n_own + n_others)
            ):
                yield self._build_finding(text_column, mentions, f"{n_own:,} of {n_texts:,} texts")
            elif leaking := [mention for mention in mentions if mention.is_leak]:
                scope_text = f"nearly all texts of {pluralize(len(leaking), 'class', 'classes')}"
                yield self._build_finding(text_column, leaking, scope_text)

    def _build_finding(
        self, text_column: TextColumn, mentions: list[LabelMentions], scope_text: str
    ) -> Finding:
        ordered_mentions = sorted(
            mentions, key=lambda one: (-one.n_own_mentions / max(one.n_texts, 1), one.label)
        )
        descriptions = [
            f"{mention.label} ({mention.n_own_mentions / max(mention.n_texts, 1):.0%} of its texts, "
            f"{mention.n_other_mentions / max(mention.n_other_texts, 1):.1%} of the others)"
            for mention in ordered_mentions
        ]
        return Finding(
            self.code,
            "warn",
            f"{text_column.name}: {scope_text} say the name of their own class: {truncated_list(descriptions, 3)}",
            text_column.name,
            {"classes": {mention.label: {"texts": mention.n_texts, "own": mention.n_own_mentions, "others": mention.n_other_mentions}
                         for mention in ordered_mentions[:50]}},
            "ask whether the label was written into the texts (a heading, a tag, a folder's name) "
            "and will be missing in texts to predict; then take it out. A word that people would "
            "use for such things anyway can stay",
        )  # fmt: skip


def rows_by_class(context: CheckContext) -> dict[str, Array]:
    """Which training rows belong to each class or have each label; none for numbers."""
    if context.y is None or context.task is None or context.task.output == "value":
        return {}
    about: dict[str, Any] = context.target_spec or {}
    if context.task.output == "labels":
        return {
            name: context.y[:, label_index] == 1 for label_index, name in enumerate(context.targets)
        }
    return {
        str(name): context.y == label_index
        for label_index, name in enumerate(about.get("classes", ()))
    }


def count_label_mentions(
    text_column: TextColumn, class_rows: dict[str, Array]
) -> list[LabelMentions]:
    """What is said of each class; the longest name is looked for first, as it may hold another."""
    words = (" " + normalize_words(text_column.texts) + " ").cast(pl.String)
    phrases = {name: phrase for name in class_rows if (phrase := label_phrase(name))}
    mentions = []
    for name in sorted(phrases, key=lambda name: (-len(phrases[name]), name))[:MAX_CLASSES]:
        phrase, is_own = f" {phrases[name]} ", class_rows[name][text_column.row_positions]
        is_mentioned = words.str.contains(phrase, literal=True).to_numpy()
        n_at_same_position = 0
        if is_mentioned.any():
            n_at_same_position = count_at_same_position(
                words.filter(pl.Series(is_mentioned & is_own)), phrase
            )
            words = words.str.replace_all(phrase, " ", literal=True)
        n_texts, n_own, n_others = (
            int(is_own.sum()),
            int((is_mentioned & is_own).sum()),
            int((is_mentioned & ~is_own).sum()),
        )
        mentions.append(
            LabelMentions(name, n_texts, n_own, n_at_same_position, n_others, int((~is_own).sum()))
        )
    return mentions


def count_at_same_position(words: pl.Series, phrase: str) -> int:
    """In how many texts a phrase stands as many letters from the start, or at the very end.

    >>> at_one_place(pl.Series([" a b c ", " a d ", " b a "]), " a ")
    2
    """
    positions = words.str.find(phrase, literal=True).drop_nulls().to_numpy()
    max_count = int(np.bincount(positions).max()) if len(positions) else 0
    return max(max_count, int(words.str.ends_with(phrase).sum()))


def label_phrase(name: str) -> str:
    """The name of a class as words; empty if it is no word.

    >>> phrase_of("comp.sys.mac"), phrase_of("lateDelivery"), phrase_of("体育"), phrase_of("b2")
    ('comp sys mac', 'late delivery', '体 育', '')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = str(normalize_words(pl.Series([spaced]))[0])
    n_letters = sum(map(str.isalpha, words)) + len(re.findall(HAN_PATTERN, words))
    return words if n_letters >= MIN_LETTERS else ""
