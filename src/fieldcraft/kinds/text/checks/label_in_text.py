"""Check for texts that contain the name of their own class."""

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
from fieldcraft.kinds.text.checks._base import ColumnTexts, iter_text_columns, normalize_words
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import sample_rows

MIN_TEXTS_PER_CLASS = 20
MAX_TEXTS = 20_000
MAX_CLASSES = 500
# A single class is reported if nearly all of its texts name it at one position; all classes
# together if half of the texts name their class and few name another.
MIN_CLASS_COVERAGE = 0.95
MIN_TOTAL_COVERAGE = 0.5
MIN_PRECISION = 0.95
MAX_OTHER_FRACTION = 0.01
MIN_LETTERS = 3  # shorter names ("0", "no") occur in texts by chance
HAN_PATTERN = "[\u4e00-\u9fff]"  # counts as two letters


@dataclass(frozen=True)
class LabelMentions:
    """How often texts mention the name of a class.

    Attributes:
        label: name of the class.
        n_texts: texts of the class.
        n_own_mentions: texts of the class that mention it.
        n_at_same_position: texts of the class that mention it at the most common position, counted
            from the start, or at the end.
        n_other_mentions: texts of other classes that mention it.
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
        """Whether nearly all texts of the class, and no others, mention it at one position."""
        # People use a word anywhere in a text; programs write labels at the same position.
        return (
            self.n_texts >= MIN_TEXTS_PER_CLASS
            and self.n_at_same_position >= MIN_CLASS_COVERAGE * self.n_texts
            and self.n_other_texts > 0
            and self.n_other_mentions <= MAX_OTHER_FRACTION * self.n_other_texts
        )


class LabelInText:
    """Finds texts that mention their own class where other texts do not."""

    code = "label_in_text"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Count the mentions of each class in training texts of it and of others."""
        class_rows = rows_by_class(context)
        for text_column in iter_text_columns(context) if class_rows else ():
            text_column = text_column.select(sample_rows(len(text_column), MAX_TEXTS))
            mentions = count_label_mentions(text_column, class_rows)
            n_texts = sum(mention.n_texts for mention in mentions)
            n_own = sum(mention.n_own_mentions for mention in mentions)
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
        self, text_column: ColumnTexts, mentions: list[LabelMentions], scope_text: str
    ) -> Finding:
        ordered_mentions = sorted(
            mentions,
            key=lambda mention: (-mention.n_own_mentions / max(mention.n_texts, 1), mention.label),
        )
        descriptions = [
            f"{mention.label} "
            f"({mention.n_own_mentions / max(mention.n_texts, 1):.0%} of its texts, "
            f"{mention.n_other_mentions / max(mention.n_other_texts, 1):.1%} of the others)"
            for mention in ordered_mentions
        ]
        return Finding(
            self.code,
            "warning",
            f"{text_column.name}: {scope_text} mention their own class: "
            f"{truncated_list(descriptions, 3)}",
            text_column.name,
            {
                "classes": {
                    mention.label: {
                        "texts": mention.n_texts,
                        "own": mention.n_own_mentions,
                        "others": mention.n_other_mentions,
                    }
                    for mention in ordered_mentions[:50]
                }
            },
            "check whether the label was written into the texts (a heading, a tag, the name of a "
            "folder) and will be missing from texts to predict: then remove it. A word that people "
            "would use anyway may stay",
        )


def rows_by_class(context: CheckContext) -> dict[str, Array]:
    """Return a mask of training rows for each class or label; empty for regression."""
    if context.y is None or context.task is None or context.task.output == "value":
        return {}
    target_spec: dict[str, Any] = context.target_spec or {}
    if context.task.output == "labels":
        return {
            name: context.y[:, label_index] == 1 for label_index, name in enumerate(context.targets)
        }
    return {
        str(name): context.y == label_index
        for label_index, name in enumerate(target_spec.get("classes", ()))
    }


def count_label_mentions(
    text_column: ColumnTexts, class_rows: dict[str, Array]
) -> list[LabelMentions]:
    """Count the mentions of each class, longest names first."""
    # Mentions are removed from the texts, so that "approved" is not counted within "not approved".
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
    """Count the texts with a phrase at its most common position from the start, or at the end.

    >>> count_at_same_position(pl.Series([" a b c ", " a d ", " b a "]), " a ")
    2
    """
    positions = words.str.find(phrase, literal=True).drop_nulls().to_numpy()
    max_count = int(np.bincount(positions).max()) if len(positions) else 0
    return max(max_count, int(words.str.ends_with(phrase).sum()))


def label_phrase(name: str) -> str:
    """Normalize the name of a class to words; empty if it is too short.

    >>> [label_phrase(name) for name in ("comp.sys.mac", "lateDelivery", "体育", "b2")]
    ['comp sys mac', 'late delivery', '体 育', '']
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = str(normalize_words(pl.Series([spaced]))[0])
    n_letters = sum(map(str.isalpha, words)) + len(re.findall(HAN_PATTERN, words))
    return words if n_letters >= MIN_LETTERS else ""
