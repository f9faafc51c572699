"""Texts that are the same up to case, blanks and punctuation, or nearly the same."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import pluralize
from fieldcraft.core.types import Array
from fieldcraft.data.schema import row_digests
from fieldcraft.kinds.text.checks._base import (
    TextColumn,
    format_fraction,
    iter_text_columns,
    normalize_words,
)
from fieldcraft.kinds.text.checks.minhash import find_near_pairs
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.connected_components import connected_components

WARNING_FRACTION = 0.01
MIN_WORDS = 5  # words; two people may both say fewer
MAX_TEXTS = 100_000  # different texts that are looked at; of more an even sample
MAX_EXAMPLES = 5


class NearDuplicateTexts:
    """Texts that say (nearly) the same in the same words, in rows that are not quite equal."""

    code = "near_texts"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Compare the texts of each column with each other; equal rows count as one."""
        columns = list(iter_text_columns(context))
        if not columns:
            return
        features = context.values.drop(*context.targets, strict=False)
        digests = row_digests(features, features.columns)
        first_row_by_digest = dict(
            zip(reversed(digests), range(len(digests) - 1, -1, -1), strict=True)
        )
        is_first = np.zeros(len(digests), dtype=bool)
        is_first[list(first_row_by_digest.values())] = True
        for column in columns:
            text_column = column.select(is_first[column.row_positions])
            words = normalize_words(text_column.texts)
            is_long = has_enough_words(words)
            text_column, words = text_column.select(is_long), words.filter(pl.Series(is_long))
            groups = group_near_duplicates(words)
            if groups:
                yield self._build_finding(text_column, groups, len(column), context)

    def _build_finding(
        self, text_column: TextColumn, groups: list[Array], n_texts: int, context: CheckContext
    ) -> Finding:
        count = sum(map(len, groups))
        largest = max(groups, key=len)
        is_warning = (
            count - len(groups) >= WARNING_FRACTION * n_texts and context.group_column is None
        )
        sample_note = " in a sample" if len(text_column) > MAX_TEXTS else ""
        return Finding(
            self.code,
            "warn" if is_warning else "tip",
            f"{text_column.name}: {format_fraction(count, n_texts)}{sample_note} say nearly the same as a text of "
            f"another row ({pluralize(len(groups), 'group')}, the largest of {len(largest):,}), such "
            f"as {text_column.select(largest).format_rows()}",
            text_column.name,
            {
                "texts": count,
                "groups": len(groups),
                "rows": [
                    text_column.select(group).first_row_numbers(MAX_EXAMPLES)
                    for group in groups[:20]
                ],
            },
            "copies can go; versions of one text are kept on one side of the split unless a group "
            "is very large (split.near: together); a column that tells what belongs together does "
            "it better: name it in data.entity and set split.rule: entity",
        )


def near_duplicate_rows(values: pl.Series) -> list[Array]:
    """Groups of rows whose texts say nearly the same, largest first; short ones are in none."""
    present_rows = np.flatnonzero(values.is_not_null().to_numpy())
    words = normalize_words(values.drop_nulls())
    is_long = has_enough_words(words)
    long_rows = present_rows[is_long]
    return [long_rows[group] for group in group_near_duplicates(words.filter(pl.Series(is_long)))]


def has_enough_words(words: pl.Series) -> Array:
    """Which texts have so many words that no two people would say them by chance."""
    return (words.str.count_matches(" ") >= MIN_WORDS - 1).to_numpy()


def group_near_duplicates(words: pl.Series) -> list[Array]:
    """Numbers of texts that belong together, largest group first.

    Args:
        words: texts from `plain`.
    """
    ranks = words.rank("min").to_numpy().astype(np.int64) - 1 if len(words) else np.zeros(0, int)
    distinct_texts, first, distinct_index = np.unique(ranks, return_index=True, return_inverse=True)
    sampled = np.linspace(
        0, len(distinct_texts) - 1, min(MAX_TEXTS, len(distinct_texts)), dtype=int
    )
    sampled_rows = np.sort(first[sampled])
    pairs = sampled_rows[find_near_pairs(words[sampled_rows.tolist()])]
    identical_pairs = np.stack([first[distinct_index], np.arange(len(words))], axis=1)
    return connected_components(
        len(words),
        np.concatenate([pairs, identical_pairs[identical_pairs[:, 0] != identical_pairs[:, 1]]]),
    )
