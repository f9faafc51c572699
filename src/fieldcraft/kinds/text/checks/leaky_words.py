"""Check for single words that nearly determine the target, as the name of a source may."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import truncated_list
from fieldcraft.core.types import Array
from fieldcraft.kinds.text.checks._base import ColumnTexts, iter_text_columns, normalize_words
from fieldcraft.kinds.text.checks.label_in_text import label_phrase, rows_by_class
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import sample_rows, split_targets

MIN_TEXTS_PER_SIDE = 30
MAX_TEXTS = 20_000
# Difference of the fractions of texts with the word in the two classes. The check `target_leak` has
# the same limit for other columns.
MIN_FREQUENCY_DIFFERENCE = 0.9


class LeakyWords:
    """Finds words in nearly all texts of one class and nearly none of the other."""

    code = "leaky_words"
    scope: CheckScope = "split"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the frequency of each word in the two classes of each binary target."""
        targets = binary_targets(context)
        label_words = {
            part for name in rows_by_class(context) for part in label_phrase(name).split()
        }
        for text_column in iter_text_columns(context) if targets else ():
            text_column = text_column.select(sample_rows(len(text_column), MAX_TEXTS))
            text_index, word_index, vocabulary = index_words(text_column.texts)
            for name, y in targets.items():
                is_positive = y[text_column.row_positions]
                if min(is_positive.sum(), (~is_positive).sum()) < MIN_TEXTS_PER_SIDE:
                    continue
                frequencies = [
                    np.bincount(word_index[side[text_index]], minlength=len(vocabulary))
                    / side.sum()
                    for side in (is_positive, ~is_positive)
                ]
                differences = np.abs(frequencies[0] - frequencies[1])
                # The check `label_in_text` reports names of classes.
                differences[np.isin(vocabulary, list(label_words))] = 0
                leaky = np.flatnonzero(differences >= MIN_FREQUENCY_DIFFERENCE)
                if len(leaky):
                    leaky = leaky[np.argsort(-differences[leaky])]
                    yield self._build_finding(text_column, name, frequencies, leaky, vocabulary)

    def _build_finding(
        self,
        text_column: ColumnTexts,
        target: str,
        frequencies: list[Array],
        leaky: Array,
        vocabulary: list[str],
    ) -> Finding:
        frequencies_by_word = {
            vocabulary[word_index]: sorted([float(side[word_index]) for side in frequencies])[::-1]
            for word_index in leaky
        }
        descriptions = [
            f"{word!r} ({high:.0%} and {low:.1%} of the texts)"
            for word, (high, low) in frequencies_by_word.items()
        ]
        return Finding(
            self.code,
            "warning",
            f"{text_column.name}: a single word nearly determines the target {target}: "
            f"{truncated_list(descriptions, 3)}",
            text_column.name,
            {"words": dict(list(frequencies_by_word.items())[:20]), "texts": len(text_column)},
            "check where it comes from: the name of a source, a form or a label of only one class "
            "does not generalize to new texts; then remove it. If it defines the class, a rule "
            "does as well as a model",
        )


def binary_targets(context: CheckContext) -> dict[str, Array]:
    """Return a mask of positive training rows for each binary target or label."""
    if (
        context.y is None
        or context.task is None
        or context.task.output == "value"
        or not len(context.y)
    ):
        return {}
    targets = split_targets(context.y, context.targets)
    return {name: y == 1 for name, y in targets if y.max() <= 1}


def index_words(texts: pl.Series) -> tuple[Array, Array, list[str]]:
    """Index the distinct words of each text.

    Returns:
        Text index and word index of each entry, and the vocabulary. Words of fewer than
        `MIN_TEXTS_PER_SIDE` texts are left out, as they cannot be in nearly all texts of a class.
    """
    lists = normalize_words(texts).str.split(" ").list.unique(maintain_order=True)
    word_rows = pl.DataFrame({"text": np.arange(len(texts)), "word": lists.alias("word")}).explode(
        "word"
    )
    counts = word_rows.group_by("word", maintain_order=True).len()
    vocabulary = counts.filter((pl.col("len") >= MIN_TEXTS_PER_SIDE) & (pl.col("word") != ""))[
        "word"
    ]
    frequent_rows = word_rows.filter(pl.col("word").is_in(vocabulary.to_list()))
    word_index = (
        frequent_rows["word"].cast(pl.Enum(vocabulary)).to_physical().to_numpy().astype(np.int64)
    )
    return frequent_rows["text"].to_numpy(), word_index, vocabulary.to_list()
