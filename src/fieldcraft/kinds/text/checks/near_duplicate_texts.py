"""Check for texts that are equal up to case, spaces and punctuation, or nearly equal."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import pluralize
from fieldcraft.core.types import Array
from fieldcraft.data.schema import row_digests
from fieldcraft.kinds.text.checks._base import (
    ColumnTexts,
    format_fraction,
    iter_text_columns,
    normalize_words,
)
from fieldcraft.kinds.text.checks.minhash import find_near_pairs
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.connected_components import connected_components

WARNING_FRACTION = 0.01
MIN_WORDS = 5  # two people may write the same four words by chance
MAX_TEXTS = 100_000  # an even sample of more distinct texts
MAX_EXAMPLES = 5


class NearDuplicateTexts:
    """Finds near-duplicate texts in rows that are not equal."""

    code = "near_duplicate_texts"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Group the near-duplicates of each column; equal rows count as one."""
        columns = list(iter_text_columns(context))
        if not columns:
            return
        features = context.values.drop(*context.targets, strict=False)
        # The check `duplicate_rows` reports equal rows, so only the first of them is kept here.
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
        self, text_column: ColumnTexts, groups: list[Array], n_texts: int, context: CheckContext
    ) -> Finding:
        count = sum(map(len, groups))
        largest = max(groups, key=len)
        is_warning = (
            count - len(groups) >= WARNING_FRACTION * n_texts and context.group_column is None
        )
        sample_note = " in a sample" if len(text_column) > MAX_TEXTS else ""
        return Finding(
            self.code,
            "warning" if is_warning else "info",
            f"{text_column.name}: {format_fraction(count, n_texts)}{sample_note} are "
            f"near-duplicates of a text in another row ({pluralize(len(groups), 'group')}, "
            f"the largest of {len(largest):,}), such as "
            f"{text_column.select(largest).format_rows()}",
            text_column.name,
            {
                "texts": count,
                "groups": len(groups),
                "rows": [
                    text_column.select(group).first_row_numbers(MAX_EXAMPLES)
                    for group in groups[:20]
                ],
            },
            "remove copies; the split keeps versions of one text in one part unless their group "
            "is very large (split.near_duplicates: group). A column that says which rows belong "
            "together is safer: set data.group to it and split.strategy: group",
        )


def near_duplicate_rows(values: pl.Series) -> list[Array]:
    """Return groups of rows with near-duplicate texts, largest first; short texts are ignored."""
    present_rows = np.flatnonzero(values.is_not_null().to_numpy())
    words = normalize_words(values.drop_nulls())
    is_long = has_enough_words(words)
    long_rows = present_rows[is_long]
    return [long_rows[group] for group in group_near_duplicates(words.filter(pl.Series(is_long)))]


def has_enough_words(words: pl.Series) -> Array:
    """Return a mask of texts with at least `MIN_WORDS` words."""
    return (words.str.count_matches(" ") >= MIN_WORDS - 1).to_numpy()


def group_near_duplicates(words: pl.Series) -> list[Array]:
    """Return groups of indices of near-duplicate texts, largest first.

    Args:
        words: texts from `normalize_words`.
    """
    # Equal texts have equal ranks, and sorting integers is faster than sorting strings. Equal texts
    # are always grouped, even where only a sample of the distinct ones is compared.
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
